// All accounts, for operators.
import { html, useState } from '../vendor/preact-htm.js';
import { day, money, num, signed } from '../format.js';
import { post, query } from '../api.js';
import { go, href, useQuery } from '../router.js';
import { Card, Dialog, Empty, Field, Form, Head, Pill, Table, View, useData, useSession } from '../parts.js';
import { Account } from './account.js';

export default function Accounts() {
  const [q, set] = useQuery({ q: '', open: '', cursor: '' });
  const { can } = useSession();
  const [making, make] = useState(false);
  const list = useData(q.open ? '' : `admin/v1/accounts?${query({ q: q.q, cursor: q.cursor })}`);
  if (q.open) return html`<${Account} key=${q.open} id=${q.open} />`;
  return html`<${Head} title="Accounts"><form role="search" onSubmit=${e => { e.preventDefault(); set({ q: e.target.elements.q.value.trim(), cursor: '' }); }}>
      <label><span class="hidden">Search</span><input name="q" type="search" placeholder="Id, name or plan…" value=${q.q} onChange=${e => set({ q: e.target.value.trim(), cursor: '' })} /></label></form>
      ${can('admin') && html`<button class="btn primary" onClick=${() => make(true)}>New account</button>`}<//>
    ${making && html`<${NewAccount} onClose=${() => make(false)} />`}
    <div class="cards"><${Card}><${View} of=${list}>${page => html`${page.data.length ? html`<${Table} label="Accounts" heads=${['Account', 'Plan', ['Available', 'n'], ['Spent', 'n'], ['Overage', 'n'], 'Since']}>
      ${page.data.map(a => html`<tr key=${a.id}><td><a href=${href('accounts', { open: a.id })}>${a.name || a.id}</a>${a.name && html`<div class="mute sm">${a.id}</div>`}</td>
        <td>${a.plan_name || a.plan || html`<span class="mute">none</span>`}${a.suspended ? html` <${Pill} kind="bad">suspended<//>` : ''}</td>
        <td class="n">${a.unlimited ? 'unlimited' : num(a.available)}${a.worth && html`<div class="mute sm">${money(a.worth)}</div>`}</td>
        <td class="n">${num(a.spent)}</td><td class="n">${a.overage === '0' ? '' : signed(a.overage)}</td><td class="t">${day(a.created_at)}</td></tr>`)}<//>`
      : html`<${Empty}>${q.q ? 'No matching accounts.' : 'No accounts yet.'}<//>`}
      <div class="row sp gap">${q.cursor ? html`<button onClick=${() => set({ cursor: '' })}>First</button>` : html`<span />`}
        ${page.next_cursor && html`<button onClick=${() => set({ cursor: page.next_cursor })}>More</button>`}</div>`}<//><//></div>`;
}

function NewAccount({ onClose }) {
  const plans = useData('admin/v1/plans');
  return html`<${Dialog} title="New account" onClose=${onClose}><${Form} submit="Create" onSubmit=${async v => {
    await post('admin/v1/accounts', v);
    onClose();
    go(href('accounts', { open: v.id }));
  }}><${Field} label="Id" name="id" required maxlength="128" placeholder="acme" hint="Identifies the account in requests and keys. It cannot be changed." /><${Field} label="Name" name="name" placeholder="Acme Studio" />
    <label class="field"><span>Plan</span><select name="plan"><option value="">default plan</option>${plans.data && plans.data.plans.map(p => html`<option key=${p.id} value=${p.id}>${p.name}</option>`)}</select></label><//><//>`;
}
