// The route as components see it.
import { hashOf, parseRoute, type Route } from './route';

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.route = parseRoute(location.hash)));
  }

  go(route: Route): void {
    location.hash = hashOf(route);
  }

  /** Whether this contact is the one on the screen. */
  shows(contact: string): boolean {
    return this.route.view === 'workspace' && this.route.contact === contact;
  }

  /** There at once, and the back button does not lead to where one was. */
  replace(route: Route): void {
    history.replaceState(null, '', hashOf(route));
    this.route = route;
  }
}

export const router = new Router();
