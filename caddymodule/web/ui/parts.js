// What all pages are made of.
import { html, createContext, useContext, useEffect, useRef, useState, useReducer } from './vendor/preact-htm.js';
import { get } from './api.js';

export const Session = createContext();
export const useSession = () => useContext(Session);

/**
 * Data of a path, fetched again when something has changed. What was there stays
 * until the new is, so that nothing flashes.
 */
export function useData(path) {
  const { tick } = useSession();
  const [state, set] = useState({});
  const [again, retry] = useReducer(n => n + 1, 0);
  const run = useRef({});
  const load = job => {
    job.busy = true;
    job.dirty = false;
    get(path, { signal: job.stop.signal }).then(
      data => set({ data, path }),
      error => error.name !== 'AbortError' && set(s => ({ data: s.path === path ? s.data : undefined, path, error })),
    ).finally(() => {
      job.busy = false;
      if (job.dirty && run.current === job) load(job);
    });
  };
  useEffect(() => {
    if (!path) return undefined;
    const job = { stop: new AbortController() };
    run.current = job;
    load(job);
    return () => job.stop.abort();
  }, [path, again]);
  useEffect(() => {
    const job = run.current;
    if (!path || !tick || !job.stop) return;
    if (job.busy) job.dirty = true;
    else load(job);
  }, [tick]);
  return { ...state, stale: state.path !== path, retry };
}

export const Loading = () => html`<div class="loading" role="status"><span class="hidden">Loading…</span><i /><i /><i /></div>`;

export const Failed = ({ error, retry }) => html`
  <div class="note bad" role="alert"><strong>Loading failed.</strong> ${error.message}
    ${retry && html` <button class="small" onClick=${retry}>Try again</button>`}</div>`;

/** Shows data, or that it is on its way, or why it is not there. */
export function View({ of, children }) {
  if (of.error && !of.data) return html`<${Failed} error=${of.error} retry=${of.retry} />`;
  if (!of.data) return html`<${Loading} />`;
  return html`<div aria-busy=${of.stale ? 'true' : 'false'} class=${of.stale ? 'stale' : ''}>
    ${of.error && html`<${Failed} error=${of.error} retry=${of.retry} />`}${children(of.data)}</div>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** The page's heading; it takes the focus when the page opens. */
export function Head({ title, sub, children }) {
  useEffect(() => { document.title = `${title} · ${document.body.dataset.brand || 'Credits'}`; }, [title]);
  return html`<header class="row sp head"><div><h1 tabindex="-1" id="title">${title}</h1>${sub && html`<p class="mute">${sub}</p>`}</div>
    <div class="row">${children}</div></header>`;
}

export const Card = ({ title, span = 12, aside, children }) => html`
  <section class=${`card s${span}`} aria-label=${title}>
    ${title && html`<div class="row sp top"><h2>${title}</h2>${aside}</div>`}${children}</section>`;

export const Pill = ({ kind = '', children }) => html`<span class=${`pill ${kind}`}>${children}</span>`;

/** A button group of which one is pressed. */
export const Seg = ({ label, value, options, onChange }) => html`
  <div class="seg" role="group" aria-label=${label}>${options.map(([v, text]) => html`
    <button type="button" key=${v} aria-pressed=${v === value ? 'true' : 'false'} onClick=${() => onChange(v)}>${text}</button>`)}</div>`;

export const Select = ({ label, value, options, onChange, hide }) => html`
  <label class="pick"><span class=${hide ? 'hidden' : 'mute'}>${label}</span>
    <select value=${value} onChange=${e => onChange(e.target.value)}>${options.map(o => {
      const [v, text] = Array.isArray(o) ? o : [o, o];
      return html`<option key=${v} value=${v} selected=${v === value}>${text}</option>`;
    })}</select></label>`;

export const Field = ({ label, hint, ...input }) => html`
  <label class="field"><span>${label}</span><input ...${input} />${hint && html`<small class="mute">${hint}</small>`}</label>`;

/** A table that scrolls by itself where it does not fit. Heads: text, or [text, class]. */
export const Table = ({ label, heads, children }) => html`
  <div class="wrap" tabindex="0" role="group" aria-label=${label}><table><thead><tr>${heads.map(h => {
    const [text, kind] = Array.isArray(h) ? h : [h, ''];
    return html`<th scope="col" class=${kind}>${text || html`<span class="hidden">Actions</span>`}</th>`;
  })}</tr></thead><tbody>${children}</tbody></table></div>`;

/** Closes with Escape, its button, or by what is in it. */
export function Dialog({ title, onClose, wide, children }) {
  const ref = useRef();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before && before.focus && before.focus();
  }, []);
  return html`<dialog ref=${ref} class=${wide ? 'wide' : ''} aria-label=${title} onClose=${onClose}
    onClick=${e => e.target === ref.current && onClose()}>
    <div class="in"><div class="row sp top"><h2>${title}</h2><button class="icon" aria-label="Close" onClick=${onClose}>✕</button></div>${children}</div></dialog>`;
}

/** A form that is busy while it is sent and says what went wrong. onSubmit gets its values. */
export function Form({ submit, onSubmit, danger, children, inline }) {
  const [state, set] = useState({});
  const send = async e => {
    e.preventDefault();
    if (state.busy) return;
    set({ busy: true });
    try {
      await onSubmit(Object.fromEntries(new FormData(e.target)), e.target);
      set({});
    } catch (error) {
      set({ error });
    }
  };
  return html`<form class=${inline ? 'row inline' : 'form'} onSubmit=${send}>${children}
    <div class="row"><button class=${danger ? 'btn danger' : 'btn primary'} disabled=${state.busy}>${state.busy ? 'Sending…' : submit}</button></div>
    ${state.error && html`<p class="error" role="alert">${state.error.message}</p>`}</form>`;
}

/** A button that asks first. */
export function Confirm({ text, question, submit, onConfirm, children }) {
  const [open, set] = useState(false);
  return html`<button class="small" onClick=${() => set(true)}>${text}</button>
    ${open && html`<${Dialog} title=${question} onClose=${() => set(false)}>
      <${Form} submit=${submit || text} danger onSubmit=${async v => { await onConfirm(v); set(false); }}>${children}<//><//>`}`;
}

/** Puts text on the clipboard, or shows it where the browser does not allow that. */
export function Copy({ text, label = 'Copy', small = true }) {
  const [state, set] = useState('');
  const copy = async () => {
    const value = typeof text === 'function' ? await text() : text;
    try {
      await navigator.clipboard.writeText(value);
      set('copied');
      setTimeout(() => set(''), 2000);
    } catch {
      set(value);
    }
  };
  return html`<button type="button" class=${small ? 'small' : ''} onClick=${copy}>${state === 'copied' ? 'Copied' : label}</button>
    ${state && state !== 'copied' && html`<${Dialog} title="Copy this" onClose=${() => set('')}><textarea readonly rows="10" aria-label="Text to copy">${state}</textarea><//>`}`;
}

export const Secret = ({ secret, what }) => html`
  <div class="secret" role="status"><p><strong>${what}</strong> It is shown only once.</p>
    <p class="row"><code>${secret}</code><${Copy} text=${secret} /></p></div>`;
