// The portal API and the operator's API, with the session's cookie.

export const base = document.body.dataset.base;

let account = '';
export const setAccount = id => { account = id; };

/** What the server said, or that it could not be reached. */
export class Problem extends Error {
  constructor(status, body) {
    super((body && body.error) || (status ? `The server answered ${status}.` : 'The server cannot be reached.'));
    this.status = status;
    this.reason = body && body.reason;
  }
}

/** The address of a path such as "v1/usage?period=7d", for the account that is looked at. */
export function url(path) {
  if (!path.startsWith('v1/') || !account || /[?&]account=/.test(path)) return `${base}/${path}`;
  return `${base}/${path}${path.includes('?') ? '&' : '?'}account=${encodeURIComponent(account)}`;
}

export async function call(method, path, body, { signal, headers } = {}) {
  let response;
  try {
    response = await fetch(url(path), {
      method, signal, credentials: 'same-origin', cache: 'no-store',
      headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Problem(0);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) {
    if (method !== 'GET' && !/\/(session|estimate|prices\/\w+)$/.test('/' + path)) dispatchEvent(new Event('changed'));
    return answer;
  }
  if (response.status === 401 && path !== 'v1/session') dispatchEvent(new Event('signed-out'));
  throw new Problem(response.status, answer);
}

export const get = (path, options) => call('GET', path, undefined, options);
export const post = (path, body, options) => call('POST', path, body ?? {}, options);
export const put = (path, body) => call('PUT', path, body);
export const patch = (path, body) => call('PATCH', path, body);
export const del = path => call('DELETE', path);

/** One for each time a form is opened: sending it twice moves credits once. */
export function idempotencyKey() {
  return 'console-' + [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, '0')).join('');
}

/** {a: "x", b: ""} → "a=x". */
export function query(values) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== '' && value != null) q.set(name, value);
  return q.toString();
}

/**
 * Calls changed when something of the account has changed. The stream is open
 * only while the page is looked at: a browser has few connections to a host.
 */
export function live(changed) {
  let source, again, missed = false;
  const open = () => {
    clearTimeout(again);
    if (source || document.hidden) return;
    source = new EventSource(url('v1/events'));
    source.addEventListener('change', changed);
    source.addEventListener('open', () => {
      if (missed) changed();
      missed = false;
    });
    source.addEventListener('error', () => {
      missed = true;
      if (source && source.readyState === EventSource.CLOSED) { // the browser does not try again by itself
        close();
        again = setTimeout(open, 3000);
      }
    });
  };
  const close = () => {
    clearTimeout(again);
    if (source) source.close();
    source = undefined;
  };
  const look = () => {
    if (document.hidden) return close();
    open();
    changed();
  };
  open();
  document.addEventListener('visibilitychange', look);
  return () => {
    close();
    document.removeEventListener('visibilitychange', look);
  };
}
