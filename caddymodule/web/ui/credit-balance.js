// <credit-balance>: the balance, for any page of a host application.
//
//   <script type="module" src="https://app.example.com/_meter/credit-balance.js"></script>
//   <credit-balance account="acme"></credit-balance>
//
// Attributes: src, where the portal is (default: where this script comes from);
// account, if the session opens several; interval, seconds between looks where
// the stream of changes cannot be had. It signs in with the session's cookie, or
// with its property token (an API key), which is never written into the page.

const home = new URL('.', import.meta.url).href.replace(/\/(assets\/)?$/, '');
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host { display: inline-block; position: relative; font: inherit; color: inherit }
  button { font: inherit; color: inherit; background: none; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 99px; padding: .15em .8em; cursor: pointer; font-variant-numeric: tabular-nums }
  button[data-status=low], button[data-status=overage] { border-color: #b45309 }
  button[data-status=exhausted], button[data-status=suspended] { border-color: #dc2626 }
  div { display: none; position: absolute; right: 0; top: calc(100% + .3em); z-index: 10; min-width: 15em; padding: .7em .9em; border-radius: 10px; background: Canvas; color: CanvasText; border: 1px solid color-mix(in srgb, CanvasText 20%, transparent); box-shadow: 0 6px 24px rgb(0 0 0 / .15) }
  :host([start]) div { right: auto; left: 0 }
  :host(:hover) div, :host(:focus-within) div { display: block }
  :host([closed]) div { display: none }
  dl { display: grid; grid-template-columns: 1fr auto; gap: .2em 1.2em; margin: 0; font-size: .9em }
  dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums }
  p { margin: .5em 0 0; font-size: .85em; opacity: .75 }`);

const grouped = s => String(s).replace(/^-/, '−').replace(/^([−]?)(\d+)/, (_, sign, whole) => sign + whole.replace(/\B(?=(\d{3})+$)/g, ','));
const words = s => s.charAt(0).toUpperCase() + s.slice(1).replaceAll('_', ' ');

/** A sum of decimal strings, exactly. */
function sum(list) {
  const places = Math.max(0, ...list.map(s => (s.split('.')[1] || '').length));
  const total = list.reduce((n, s) => n + BigInt(s.replace('.', '') + '0'.repeat(places - (s.split('.')[1] || '').length)), 0n);
  const digits = total.toString().padStart(places + 1, '0');
  return places ? `${digits.slice(0, -places)}.${digits.slice(-places)}`.replace(/\.?0+$/, '') : digits;
}

class CreditBalance extends HTMLElement {
  static observedAttributes = ['src', 'account'];
  #token = '';
  #stop = null;
  #button = document.createElement('button');
  #panel = document.createElement('div');

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    this.#button.type = 'button';
    this.#button.textContent = '…';
    this.#button.setAttribute('aria-describedby', 'breakdown');
    this.#panel.id = 'breakdown';
    this.#panel.setAttribute('role', 'tooltip');
    root.append(this.#button, this.#panel);
    this.addEventListener('keydown', e => e.key === 'Escape' && this.setAttribute('closed', ''));
    for (const event of ['focusin', 'mouseenter']) this.addEventListener(event, () => {
      this.removeAttribute('closed');
      this.toggleAttribute('start', this.getBoundingClientRect().left < innerWidth / 2);
    });
  }

  get token() { return this.#token; }
  set token(value) {
    this.#token = value || '';
    this.#restart();
  }

  connectedCallback() { this.#restart(); }
  disconnectedCallback() { this.#end(); }
  attributeChangedCallback() { this.#restart(); }

  /** Looks now; the page calls it when it knows better than to wait. */
  refresh() { return this.#look(); }

  #url(path) {
    const account = this.getAttribute('account');
    return `${(this.getAttribute('src') || home).replace(/\/$/, '')}/v1/${path}${account ? `?account=${encodeURIComponent(account)}` : ''}`;
  }

  #options(more) {
    return { credentials: this.#token ? 'omit' : 'same-origin', cache: 'no-store', headers: this.#token ? { Authorization: `Bearer ${this.#token}` } : {}, ...more };
  }

  #end() {
    if (this.#stop) this.#stop.abort();
    this.#stop = null;
  }

  #restart() {
    this.#end();
    if (!this.isConnected) return;
    this.#stop = new AbortController();
    this.#look();
    this.#follow(this.#stop.signal);
  }

  /** Looks whenever the stream says that something has changed. */
  async #follow(signal) {
    const pause = Math.max(5, Number(this.getAttribute('interval')) || 30) * 1000;
    while (!signal.aborted) {
      try {
        const response = await fetch(this.#url('events'), this.#options({ signal }));
        if (response.status === 401 || response.status === 403) return;
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) if (part.value.includes('event: change')) this.#look();
      } catch {
        // the connection ended; look by the clock until it is back
      }
      await new Promise(done => { setTimeout(done, pause); });
      if (!signal.aborted) this.#look();
    }
  }

  async #look() {
    const signal = this.#stop && this.#stop.signal;
    try {
      const response = await fetch(this.#url('balance'), this.#options({ signal }));
      if (!response.ok) throw new Error(response.status === 401 ? 'Not signed in' : `The balance is not available (${response.status})`);
      this.#show(await response.json());
    } catch (error) {
      if (error.name !== 'AbortError') this.#fail(error);
    }
  }

  #fail(error) {
    this.#button.textContent = '–';
    this.#button.removeAttribute('data-status');
    this.#panel.textContent = error.message;
  }

  #show(b) {
    this.#button.textContent = b.unlimited ? `Unlimited ${b.unit.plural}` : `${grouped(b.available)} ${b.available === '1' ? b.unit.name : b.unit.plural}`;
    this.#button.dataset.status = b.status;
    const list = document.createElement('dl');
    for (const type of new Set(b.grants.map(g => g.type))) {
      const of = b.grants.filter(g => g.type === type);
      const name = document.createElement('dt'), value = document.createElement('dd');
      name.textContent = words(type);
      value.textContent = of.some(g => g.unlimited) ? 'unlimited' : grouped(sum(of.map(g => g.remaining)));
      list.append(name, value);
    }
    const note = document.createElement('p');
    note.textContent = [b.plan && b.plan.name, b.worth && `≈ ${b.worth}`].filter(Boolean).join(' · ');
    this.#panel.replaceChildren(list, note);
    this.dispatchEvent(new CustomEvent('balance', { detail: b }));
  }
}

if (!customElements.get('credit-balance')) customElements.define('credit-balance', CreditBalance);
