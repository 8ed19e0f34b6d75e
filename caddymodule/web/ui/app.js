// The frame: who is signed in, which account is looked at, which page is open.
import { html, render, useEffect, useState, useReducer, useErrorBoundary } from './vendor/preact-htm.js';
import { base, del, get, live, query, setAccount } from './api.js';
import { setZone, link, money, num } from './format.js';
import { followLinks, go, href, params, useRoute } from './router.js';
import { Copy, Failed, Loading, Select, Seg, Session, useSession } from './parts.js';

const pages = {
  '': { name: 'Overview', load: () => import('./pages/overview.js') },
  usage: { name: 'Usage', load: () => import('./pages/usage.js') },
  charges: { name: 'Charges', load: () => import('./pages/charges.js') },
  prices: { name: 'Prices', load: () => import('./pages/prices.js') },
  estimator: { name: 'Estimator', load: () => import('./pages/estimator.js') },
  keys: { name: 'Keys', load: () => import('./pages/keys.js') },
  team: { name: 'Team', load: () => import('./pages/team.js'), admin: true },
  alerts: { name: 'Alerts', load: () => import('./pages/alerts.js') },
};
const operations = {
  accounts: { name: 'Accounts', load: () => import('./pages/accounts.js') },
  plans: { name: 'Plans & packs', load: () => import('./pages/plans.js') },
  pricebook: { name: 'Price book', load: () => import('./pages/pricebook.js') },
  margin: { name: 'Margin', load: () => import('./pages/margin.js') },
  ledger: { name: 'Ledger', load: () => import('./pages/ledger.js') },
  system: { name: 'System', load: () => import('./pages/system.js') },
};
const all = { ...pages, ...operations };

const remembered = (name, usual) => {
  try { return localStorage.getItem('farebox-' + name) || usual; } catch { return usual; }
};
const remember = (name, value) => {
  try { localStorage.setItem('farebox-' + name, value); } catch { /* for this page only, then */ }
};

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const zones = () => [...new Set([ownZone, 'UTC', ...(Intl.supportedValuesOf ? Intl.supportedValuesOf('timeZone') : [])])];

function Links({ session, open }) {
  const item = ([id, p]) => html`<a key=${id} href=${href(id)} aria-current=${id === open ? 'page' : undefined}>${p.name}</a>`;
  const portal = session.account && Object.entries(pages).filter(([, p]) => !p.admin || session.role === 'admin');
  return html`${portal && html`${session.operator && html`<div class="sep">${session.accountName}</div>`}<div class="links">${portal.map(item)}</div>`}
    ${session.operator && html`<div class="sep">Operations</div><div class="links ops">${Object.entries(operations).map(item)}</div>`}`;
}

/** What support needs to know, as text. */
async function supportDetails() {
  const [b, charges] = await Promise.all([get('v1/balance'), get('v1/charges?limit=1')]);
  return [
    `Account: ${b.account} (${b.name})`,
    `Plan: ${b.plan ? `${b.plan.name} (${b.plan.id})` : 'none'}`,
    `Status: ${b.status}`,
    `Available: ${num(b.available)} ${b.unit.plural}${b.worth ? ` (${money(b.worth)})` : ''}, held ${num(b.held)}, overage ${num(b.overage)}, debt ${num(b.debt)}`,
    ...b.grants.map(g => `  ${g.type} ${g.id}: ${num(g.remaining)} of ${num(g.amount)} left`),
    `Last charge: ${charges.data.length ? `${charges.data[0].id} at ${charges.data[0].at}` : 'none'}`,
    `Page: ${location.href}`,
    `Time: ${new Date().toISOString()}`,
  ].join('\n');
}

function Menu({ setTheme, theme, signOut, chooseZone }) {
  const session = useSession();
  const back = link(session.return_url);
  return html`<details class="me"><summary>${session.member || session.accountName || 'Operator'}</summary><div class="menu">
    ${session.accounts.length > 1 && html`<${Select} label="Account" hide value=${session.account} options=${session.accounts.map(a => [a.id, a.name])}
      onChange=${id => go(`${location.pathname}?${query({ account: id })}`)} />`}
    <${Seg} label="Theme" value=${theme} options=${[['auto', 'Auto'], ['light', 'Light'], ['dark', 'Dark']]} onChange=${setTheme} />
    <${Select} label="Time zone" hide value=${session.zone} options=${zones()} onChange=${chooseZone} />
    ${session.account && html`<${Copy} text=${supportDetails} label="Copy support details" small=${false} />`}
    <a class="btn" href=${`${base}/docs/`}>Documentation</a>
    ${back && html`<a class="btn" href=${back}>Back to the application</a>`}
    <button onClick=${signOut}>Sign out</button></div></details>`;
}

/** One page: its module is loaded when it is first opened. */
function Page({ id }) {
  const [{ of, component, error }, set] = useState({});
  const [crash, reset] = useErrorBoundary();
  useEffect(() => {
    let here = true;
    reset();
    all[id].load().then(m => here && set({ of: id, component: m.default }), e => here && set({ of: id, error: e }));
    return () => { here = false; };
  }, [id]);
  useEffect(() => {
    const heading = component && document.getElementById('title');
    if (heading && document.activeElement === document.body) heading.focus({ preventScroll: true });
  }, [component]);
  if (crash || error) return html`<${Failed} error=${crash || error} retry=${() => location.reload()} />`;
  if (of !== id) return html`<${Loading} />`;
  return html`<${component} />`;
}

/** Counts the changes that the open page has to show: at once, but not more than three a second. */
function useTicks(session) {
  const [tick, count] = useReducer(n => n + 1, 0);
  useEffect(() => { // what is changed here shows at once, also where no account is followed
    addEventListener('changed', count);
    return () => removeEventListener('changed', count);
  }, []);
  useEffect(() => {
    if (!session || !session.account) return undefined;
    let waiting, last = 0;
    const show = () => {
      waiting = undefined;
      last = Date.now();
      count();
    };
    const stop = live(() => { waiting = waiting || setTimeout(show, Math.max(0, last + 300 - Date.now())); });
    return () => {
      clearTimeout(waiting);
      stop();
    };
  }, [session && session.account]);
  return tick;
}

function brand({ name, accent }) {
  document.body.dataset.brand = name || 'Farebox';
  if (!/^#[0-9a-f]{6}$/i.test(accent || '')) return;
  const [r, g, b] = [1, 3, 5].map(i => parseInt(accent.slice(i, i + 2), 16));
  document.documentElement.style.setProperty('--brand', accent);
  if ((r * 299 + g * 587 + b * 114) / 1000 > 150) document.documentElement.style.setProperty('--on-accent', '#14101f');
}

function App() {
  const route = useRoute();
  const [session, set] = useState();
  const [failure, fail] = useState();
  const [theme, setTheme] = useState(remembered('theme', 'auto'));
  const [zone, chooseZone] = useState(remembered('zone', ownZone));
  const wanted = route.params.account || '';
  const load = () => get(`v1/session?${query({ account: wanted })}`).then(
    s => { brand(s.brand); fail(undefined); set(s); },
    e => (e.status === 401 || e.status === 403 ? set({ accounts: [], brand: {}, refused: e }) : fail(e)));
  useEffect(() => { load(); }, [wanted]);
  useEffect(() => {
    const out = () => set(s => (s && (s.account || s.operator) ? { accounts: [], brand: s.brand, console: s.console, ended: true } : s));
    addEventListener('signed-out', out);
    return () => removeEventListener('signed-out', out);
  }, []);
  setZone(zone);
  const here = session && (session.account || session.operator) ? session : undefined;
  if (here) setAccount(here.account || '');
  const tick = useTicks(here);
  const turn = t => {
    remember('theme', t);
    setTheme(t);
    if (t === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = t;
  };
  const signOut = async () => {
    await del('v1/session').catch(() => undefined);
    set(undefined);
    go(base + '/', { replace: true });
    load();
  };
  if (failure) return html`<main class="solo"><${Failed} error=${failure} retry=${load} /></main>`;
  if (!session || (here && wanted && wanted !== session.account)) return html`<main class="solo"><${Loading} /></main>`;
  if (!here) return html`<${SignIn} session=${session} onDone=${load} />`;
  const open = all[route.page] && (session.operator || !operations[route.page]) ? route.page : undefined;
  if (open === '' && !session.account) {
    go(href('accounts'), { replace: true });
    return null;
  }
  const name = (session.accounts.find(a => a.id === session.account) || {}).name || session.account;
  const role = session.operator && !session.scopes.includes('admin') ? 'viewer' : session.role; // who only reads is shown no buttons
  const usable = open !== undefined && (operations[open] || open === 'prices' || session.account);
  return html`<${Session.Provider} value=${{ ...session, role, accountName: name, zone, tick, reload: load, can: scope => (session.scopes || []).includes(scope) }}>
    <a class="skip" href="#title">Skip to the content</a>
    <div class="app"><nav class="main" aria-label="Main">
      <a class="brand" href=${href('')}>${link(session.brand.logo) ? html`<img src=${session.brand.logo} alt="" />` : '◐'} <span>${session.brand.name || 'Farebox'}</span></a>
      <${Links} session=${{ ...session, accountName: name }} open=${open} />
      <${Menu} theme=${theme} setTheme=${turn} signOut=${signOut} chooseZone=${z => { remember('zone', z); chooseZone(z); }} /></nav>
      <main id="content" key=${session.account + zone}>${usable ? html`<${Page} id=${open} />` : html`<${Nowhere} operator=${session.operator} />`}</main></div><//>`;
}

const Nowhere = ({ operator }) => html`<h1 id="title" tabindex="-1">Nothing here</h1>
  <p>${operator ? html`Choose an account first: <a href=${href('accounts')}>Accounts</a>.` : html`This page does not exist. <a href=${href('')}>Overview</a>`}</p>`;

function SignIn(props) {
  const [component, set] = useState();
  useEffect(() => { import('./pages/signin.js').then(m => set(() => m.default)); }, []);
  return component ? html`<${component} ...${props} />` : null;
}

followLinks();
if (params().account === '') go(location.pathname, { replace: true });
render(html`<${App} />`, document.getElementById('app'));
