// The few icons in use, taken from bootstrap-italia at build time.
const files = import.meta.glob<string>(
  '../../node_modules/bootstrap-italia/src/svg/it-{mail,comment,telephone,user,clock,calendar,clip,lock,file,refresh,arrow-left,arrow-right,download,search,settings,logout,check,check-circle,close,warning,warning-circle,info-circle,help-circle,plus,flag,inbox,note,pencil,exchange-circle,horn,wifi,list,key,box,link,ban,share,hearing,card,restore,password-visible,password-invisible,folder,map-marker,error,more-actions,pa}.svg',
  { query: '?raw', import: 'default', eager: true },
);

export const ICONS: ReadonlyMap<string, string> = new Map(
  Object.entries(files).map(([path, svg]) => [
    path.replace(/^.*\/it-(.*)\.svg$/, '$1'),
    svg.replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, ''),
  ]),
);
