// The URL is the state: page, account, and whatever a page is filtered by.
import { useEffect, useReducer } from './vendor/preact-htm.js';
import { base, query } from './api.js';

export const page = () => location.pathname.slice(base.length).replace(/^\/|\/$/g, '');
export const params = () => Object.fromEntries(new URLSearchParams(location.search));

/** The address of a page, with the account that is looked at. */
export function href(name, values = {}) {
  const q = query({ account: params().account, ...values });
  return `${base}/${name}${q ? '?' + q : ''}`;
}

export function go(address, { replace } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  dispatchEvent(new Event('navigate'));
}

/** Renders again whenever the URL changes. */
export function useRoute() {
  const [, again] = useReducer(n => n + 1, 0);
  useEffect(() => {
    addEventListener('popstate', again);
    addEventListener('navigate', again);
    return () => {
      removeEventListener('popstate', again);
      removeEventListener('navigate', again);
    };
  }, []);
  return { page: page(), params: params() };
}

/** The page's parameters over their defaults, and a way to change some of them. */
export function useQuery(defaults) {
  const { params: now } = useRoute();
  const set = (changes, options) => {
    const next = { ...now, ...changes };
    for (const name of Object.keys(next)) if (next[name] === defaults[name]) delete next[name];
    go(`${location.pathname}?${query(next)}`, options);
  };
  return [{ ...defaults, ...now }, set];
}

/** Links to pages are followed without loading anew. */
export function followLinks() {
  document.addEventListener('click', e => {
    const a = e.target.closest('a[href]');
    if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.hasAttribute('download')) return;
    if (a.origin !== location.origin || !a.pathname.startsWith(base + '/') || /\/(v1|admin|assets|docs|open)(\/|$)/.test(a.pathname.slice(base.length))) return;
    if (a.hash && a.pathname === location.pathname) return;
    e.preventDefault();
    if (a.href !== location.href) go(a.href);
  });
}
