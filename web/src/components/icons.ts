// The few icons in use, taken from bootstrap-italia at build time; a telephone with a screen it has not got, so it is drawn here.
const files = import.meta.glob<string>(
  '../../node_modules/bootstrap-italia/src/svg/it-{mail,comment,telephone,user,clock,calendar,clip,lock,file,refresh,arrow-left,arrow-right,download,search,settings,logout,check,check-circle,close,warning,warning-circle,info-circle,help-circle,plus,flag,inbox,note,pencil,exchange-circle,horn,wifi,list,key,box,link,ban,share,hearing,card,restore,password-visible,password-invisible,folder,map-marker,error,more-actions,pa}.svg',
  { query: '?raw', import: 'default', eager: true },
);

const MOBILE =
  '<path d="M8 2h8a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm0 1.5a.5.5 0 0 0-.5.5v16a.5.5 0 0 0 .5.5h8a.5.5 0 0 0 .5-.5V4a.5.5 0 0 0-.5-.5zm2.5 14.5h3v1.3h-3z"/>';

export const ICONS: ReadonlyMap<string, string> = new Map([
  ['mobile', MOBILE],
  ...Object.entries(files).map(([path, svg]): [string, string] => [
    path.replace(/^.*\/it-(.*)\.svg$/, '$1'),
    svg.replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, ''),
  ]),
]);
