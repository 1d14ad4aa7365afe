// Where in the console one is: kept in the address after `#`, so that a reload and the back button work.

export type Route =
  | { view: 'workspace'; contact?: string }
  | { view: 'room' }
  | { view: 'history' }
  | { view: 'admin'; page: AdminPage }
  | { view: 'preferences' };
export type AdminPage = 'operators' | 'tokens' | 'quarantine';

const ADMIN_PAGES: readonly AdminPage[] = ['operators', 'tokens', 'quarantine'];

export function parseRoute(hash: string): Route {
  const [view = '', rest = ''] = hash.replace(/^#\/?/, '').split('/');
  switch (view) {
    case 'contact': return /^ct_[0-9a-f]{32}$/.test(rest) ? { view: 'workspace', contact: rest } : { view: 'workspace' };
    case 'room': return { view: 'room' };
    case 'history': return { view: 'history' };
    case 'preferences': return { view: 'preferences' };
    case 'admin': return { view: 'admin', page: ADMIN_PAGES.find((page) => page === rest) ?? 'operators' };
    default: return { view: 'workspace' };
  }
}

export function hashOf(route: Route): string {
  switch (route.view) {
    case 'workspace': return route.contact ? `#/contact/${route.contact}` : '#/';
    case 'admin': return `#/admin/${route.page}`;
    default: return `#/${route.view}`;
  }
}
