// Proof that the books are in order.
import { html, useState } from '../vendor/preact-htm.js';
import { num } from '../format.js';
import { get } from '../api.js';
import { Card, Empty, Failed, Head, Pill } from '../parts.js';

export default function Ledger() {
  const [state, set] = useState({});
  const verify = () => {
    set({ busy: true });
    get('admin/v1/ledger/verify').then(data => set({ data, at: new Date() }), error => set({ error }));
  };
  const v = state.data;
  return html`<${Head} title="Ledger" sub="Recomputes every balance, hash and usage total from the journal">
      <button class="btn primary" disabled=${state.busy} onClick=${verify}>${state.busy ? 'Verifying…' : 'Verify now'}</button><//>
    <div class="cards"><${Card} title="Verification"><div aria-live="polite">
      ${state.error && html`<${Failed} error=${state.error} retry=${verify} />`}${state.busy && html`<p class="mute">This reads the whole ledger. Requests continue in the meantime.</p>`}
      ${!v && !state.busy && !state.error && html`<${Empty}>Not verified in this session. Verification takes about a second per ten thousand entries.<//>`}
      ${v && html`<p>${v.ok ? html`<${Pill} kind="ok">in order<//>` : html`<${Pill} kind="bad">problems found<//>`} <span class="mute">at ${state.at.toLocaleTimeString('en-GB')}</span></p>
        <dl>${[['Accounts', v.accounts], ['Grants', v.grants], ['Journal entries', v.entries], ['Charges', v.charges], ['Open holds', v.open_holds]].map(([name, n]) => html`<dt>${name}</dt><dd class="num">${num(n)}</dd>`)}</dl>
        ${v.problems.length > 0 && html`<pre tabindex="0" role="group" aria-label="Problems">${v.problems.join('\n')}</pre>`}`}</div><//></div>`;
}
