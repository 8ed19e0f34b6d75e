// Whether the gateway is well: clock, open holds, deliveries, operators' keys.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { age, full, num, stamp } from '../format.js';
import { post } from '../api.js';
import { href } from '../router.js';
import { Card, Dialog, Empty, Failed, Field, Form, Head, Loading, Pill, Secret, Table, View, useData, useSession } from '../parts.js';
import { List as Keys } from './keys.js';

export default function System() {
  const health = useData('admin/v1/health'), holds = useData('admin/v1/holds'), { can } = useSession();
  useEffect(() => {
    const look = setInterval(() => { health.retry(); holds.retry(); }, 10000);
    return () => clearInterval(look);
  }, []);
  return html`<${Head} title="System"><span class="mute sm">updates every 10 seconds</span><//><div class="cards">
    <${Card} title="Health" span="5"><${View} of=${health}>${h => html`<p>${h.ok ? html`<${Pill} kind="ok">well<//>` : html`<${Pill} kind=${h.ready ? 'warn' : 'bad'}>${h.ready ? 'needs you' : 'paid requests are refused'}<//>`}</p>
      <${Table} label="Parts" heads=${['Part', 'State', 'Since']}>${h.parts.map(part => html`<tr key=${part.name}><td>${part.name}</td>
        <td><${Pill} kind=${states[part.status]}>${part.status}<//> ${part.text}${part.do && html`<br /><span class="mute sm">${part.do}</span>`}</td><td class="t">${stamp(part.since)}</td></tr>`)}<//>
      ${h.clock !== 'ok' && can('admin') && html`<${Form} submit="The clock is right" danger onSubmit=${async () => { await post('admin/v1/clock/confirm'); health.retry(); }} />`}
      <dl><dt>Ledger</dt><dd><code>${h.ledger.id}</code> · ${num(h.ledger.accounts)} accounts · since ${stamp(h.ledger.created)}</dd><dt>Now</dt><dd>${full(h.now)}</dd>
        <dt>Prices</dt><dd>since ${stamp(h.prices.since)} · <code>${h.prices.digest.slice(0, 10)}</code></dd><dt>Version</dt><dd>${h.version}</dd></dl>`}<//><//>
    <${Card} title="Open holds" span="7"><${View} of=${holds}>${({ data }) => (data.length ? html`<${Table} label="Open holds" heads=${['Age', 'Account', 'Operation', ['Held', 'n'], ['So far', 'n']]}>${data.slice(0, 100).map(h => html`<tr key=${h.charge}>
      <td class="t">${Date.now() - Date.parse(h.at) > 36e5 ? html`<${Pill} kind="warn">${age(h.at)}<//>` : age(h.at)}</td><td><a href=${href('accounts', { open: h.account })}>${h.account}</a></td><td>${[h.operation, h.model].filter(Boolean).join(' · ')}</td><td class="n">${num(h.held)}</td><td class="n">${num(h.observed)}</td></tr>`)}<//>
      ${data.length > 100 && html`<p class="mute sm">and ${num(data.length - 100)} more</p>`}` : html`<${Empty}>No request is running.<//>`)}<//><//>
    <${Card} title="Webhook deliveries"><${Deliveries} /><//>
    ${can('admin') && html`<${Card} title="Operator keys"><${Operators} /><//>`}</div>`;
}

function Deliveries() {
  const list = useData('admin/v1/webhooks/deliveries?limit=50'), { can } = useSession();
  if (list.error && list.error.status === 404) return html`<${Empty}>No webhooks are configured.<//>`;
  if (list.error) return html`<${Failed} error=${list.error} retry=${list.retry} />`;
  if (!list.data) return html`<${Loading} />`;
  const again = async d => { await post(`admin/v1/webhooks/deliveries/${encodeURIComponent(d.id)}/redeliver`); list.retry(); };
  if (!list.data.data.length) return html`<${Empty}>Nothing has been sent yet.<//>`;
  return html`<${Table} label="Deliveries" heads=${['Time', 'Event', 'Account', 'To', 'Result', '']}>${list.data.data.map(d => html`<tr key=${d.id}><td class="t">${stamp(d.created_at)}</td><td>${d.type}</td><td>${d.account || ''}</td><td>${d.endpoint}</td>
    <td><${Pill} kind=${results[d.state] || ''}>${d.state}<//>${d.attempts > 1 ? ` after ${num(d.attempts)} attempts` : ''} <span class="mute sm">${[d.status, d.error].filter(Boolean).join(' ')}</span></td>
    <td>${can('admin') && html`<button class="small" onClick=${() => again(d)}>Send again</button>`}</td></tr>`)}<//>`;
}

const states = { ok: 'ok', warning: 'warn', failed: 'bad' };
const results = { delivered: 'ok', failed: 'bad', pending: 'warn' };
const scopes = [['read', 'read: sees everything'], ['grant', 'grant: and moves credits'], ['admin', 'admin: and changes everything else']];

function Operators() {
  const keys = useData('admin/v1/operator-keys');
  const [making, make] = useState(false), [made, show] = useState();
  const close = () => { make(false); show(); };
  return html`<${View} of=${keys}>${({ data }) => html`<${Keys} keys=${data} may=${() => true} path="admin/v1/operator-keys" retry=${keys.retry} />`}<//>
    <p><button onClick=${() => make(true)}>New operator key</button></p>
    ${making && html`<${Dialog} title="New operator key" onClose=${close}>${made ? html`<${Secret} secret=${made.secret} what="Copy the key now." /><p class="gap"><button onClick=${close}>Done</button></p>` : html`
      <${Form} submit="Create the key" onSubmit=${async v => { show(await post('admin/v1/operator-keys', { name: v.name, scope: v.scope })); keys.retry(); }}><${Field} label="Name" name="name" required />
        <label class="field"><span>Scope</span><select name="scope">${scopes.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></label><//>`}<//>`}`;
}
