// Every request: filtered, searched, page by page, and why it cost what it cost.
import { html, useRef } from '../vendor/preact-htm.js';
import { full, money, num, quantities, signed, title, zero } from '../format.js';
import { idempotencyKey, post, query, url } from '../api.js';
import { useQuery } from '../router.js';
import { Card, Confirm, Copy, Dialog, Empty, Field, Head, Pill, Select, Table, View, useData, useSession } from '../parts.js';
import { Range, asked, presets } from './range.js';
import { Charges } from './chargetable.js';

const any = text => [['', text]];
const range = [['', 'All'], ...presets];

export default function ChargesPage() {
  const [q, set] = useQuery({ period: '', from: '', to: '', q: '', state: '', operation: '', model: '', member: '', cursor: '', charge: '' });
  const { sees_all: seesAll } = useSession();
  const prices = useData('v1/prices'), members = useData('v1/members');
  const { account, charge, cursor, period, from, to, ...where } = q;
  const about = { ...(period ? asked(q) : {}), ...where };
  const list = useData(`v1/charges?${query({ ...about, cursor, limit: 50 })}`);
  const change = (name, value) => set({ [name]: value, cursor: '' });
  const choices = of => [...new Map(((prices.data && prices.data.prices) || []).filter(p => p[of]).map(p => [p[of], of === 'operation' ? p.name : p.model_name || p.model]))];
  return html`<${Head} title="Charges" sub="Every request and its cost">
      <a class="btn" download href=${url(`v1/charges?${query({ ...about, format: 'csv' })}`)}>Export CSV</a>
      <a class="btn" download href=${url(`v1/charges?${query({ ...about, format: 'focus' })}`)}>Export FOCUS</a><//>
    <div class="row gap"><${Range} q=${q} set=${set} options=${range} /></div>
    <form class="row gap" role="search" onSubmit=${e => { e.preventDefault(); change('q', e.target.elements.q.value.trim()); }}>
      <label><span class="hidden">Search</span><input name="q" type="search" placeholder="Search id, model, member…" value=${q.q} onChange=${e => change('q', e.target.value.trim())} /></label>
      <${Select} label="State" hide value=${q.state} options=${[...any('any state'), 'open', 'charged', 'refunded', 'refunded in part']} onChange=${v => change('state', v)} />
      <${Select} label="Operation" hide value=${q.operation} options=${[...any('all operations'), ...choices('operation')]} onChange=${v => change('operation', v)} />
      <${Select} label="Model" hide value=${q.model} options=${[...any('all models'), ...choices('model')]} onChange=${v => change('model', v)} />
      ${seesAll && members.data && members.data.data.length > 0 && html`<${Select} label="Member" hide value=${q.member}
        options=${[...any('all members'), ...members.data.data.map(m => [m.id, m.name || m.id])]} onChange=${v => change('member', v)} />`}</form>
    <div class="cards"><${Card}><${View} of=${list}>${page => html`
      ${page.data.length ? html`<${Charges} list=${page.data} keep=${{ ...where, period, from, to, cursor }} />` : html`<${Empty}>No matching requests. <button class="small" onClick=${() => set({ q: '', state: '', operation: '', model: '', member: '', period: '', from: '', to: '', cursor: '' })}>Show all</button><//>`}
      <div class="row sp gap">${cursor ? html`<button onClick=${() => set({ cursor: '' })}>Newest</button>` : html`<span />`}
        ${page.next_cursor && html`<button onClick=${() => set({ cursor: page.next_cursor })}>Older</button>`}</div>
      ${page.details_since && html`<p class="mute sm gap">Requests before ${full(page.details_since)} are summed up under Usage; their details are no longer kept.</p>`}`}<//><//></div>
    ${charge && html`<${Charge} id=${charge} onClose=${() => set({ charge: '' })} />`}`;
}

function Charge({ id, onClose }) {
  const data = useData(`v1/charges/${encodeURIComponent(id)}`);
  return html`<${Dialog} title="One request" wide onClose=${onClose}><${View} of=${data}>${c => html`<${Detail} charge=${c} retry=${data.retry} />`}<//><//>`;
}

function Detail({ charge: c, retry }) {
  const { can } = useSession();
  const facts = [
    ['Id', html`<code>${c.id}</code> <${Copy} text=${c.id} />`], ['Made', full(c.at)], ['Settled', c.settled_at && full(c.settled_at)],
    ['Operation', c.operation_name], ['Feature', c.feature], ['Model', c.model], ['Member', c.member], ['Key', c.key && html`<code>${c.key}</code>`],
    ...Object.entries(c.labels).map(([name, value]) => [title(name), value]),
    ['Used', quantities(c.quantities)], ['Outcome', c.outcome && `${c.outcome}${c.status ? ` (${c.status})` : ''}`],
    ['Held before', num(c.held)], ['Charged', num(c.cost)], ['Refunded', !zero(c.refunded) && num(c.refunded)],
    ['Paid', html`<strong>${num(c.credits)}</strong>${c.worth && ` ≈ ${money(c.worth)}`}`],
  ].filter(([, v]) => v);
  return html`<p><${Pill} kind=${c.state === 'charged' ? 'ok' : c.state === 'open' ? '' : 'warn'}>${c.state}<//>${c.estimated && html` <span class="mute">estimated from the delivered content; the response reported no usage</span>`}</p>
    <dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    <h3>Why this price</h3>${c.calculation.length ? html`<${Table} label="Calculation" heads=${['Step', '', ['Credits', 'n']]}>${c.calculation.map((l, i) => html`
      <tr key=${i}><td>${l.label}</td><td class="mute">${l.text}</td><td class="n">${num(l.total)}</td></tr>`)}<//>` : html`<${Empty}>${zero(c.credits) ? 'This request was free.' : 'The price book of this charge has no further details.'}<//>`}
    <h3>Credits drawn</h3>${c.drawn.length ? html`<${Table} label="Credits drawn" heads=${['Kind', 'Grant', ['Credits', 'n']]}>${c.drawn.map(d => html`
      <tr key=${d.grant + d.type}><td>${title(d.type)}</td><td class="mono">${d.grant}</td><td class="n">${signed('-' + d.amount)}</td></tr>`)}<//>` : html`<${Empty}>None.<//>`}
    <p class="mute sm gap">Price book <code>${(c.book || '').slice(0, 12)}</code></p>
    ${can('grant') && c.state !== 'open' && c.state !== 'refunded' && html`<${Refund} charge=${c} retry=${retry} />`}`;
}

function Refund({ charge, retry }) {
  const key = useRef(idempotencyKey()); // the same until it has worked: sending it again refunds once
  return html`<${Confirm} text="Refund…" question="Refund this request" submit="Refund" onConfirm=${async v => {
    await post(`admin/v1/charges/${encodeURIComponent(charge.id)}/refund`, v, { headers: { 'Idempotency-Key': key.current } });
    key.current = idempotencyKey();
    retry();
  }}><${Field} label="Reason" name="reason" required hint="It is kept in the ledger." /><${Field} label="Amount" name="amount" inputmode="decimal" placeholder=${`all: ${charge.credits}`} /><//>`;
}
