/** Where the person is, in the address after `#`: it works offline, and a reload stays on the same screen. */
export interface Route {
  screen: string;
  id: string | null;
}

function read(): Route {
  const [screen = '', id = ''] = location.hash.replace(/^#\/?/, '').split('/');
  return { screen, id: id ? decodeURIComponent(id) : null };
}

class Router {
  route = $state.raw<Route>(read());

  constructor() {
    addEventListener('hashchange', () => {
      this.route = read();
      scrollTo(0, 0);
    });
  }

  go(screen: string, id?: string): void {
    location.hash = id ? `#/${screen}/${encodeURIComponent(id)}` : `#/${screen}`;
  }
}

export const router = new Router();
