// Thresholds and recipients of alerts.
import { html, useState } from '../vendor/preact-htm.js';
import { num, stamp } from '../format.js';
import { del, put } from '../api.js';
import { Card, Confirm, Empty, Field, Form, Head, Pill, Secret, Table, View, useData, useSession } from '../parts.js';

export default function Alerts() {
  const alerts = useData('v1/alerts'), balance = useData('v1/balance');
  const { role } = useSession();
  const unit = balance.data ? balance.data.unit.plural : 'credits';
  const save = async below => { await put('v1/alerts', { below }); alerts.retry(); };
  return html`<${View} of=${alerts}>${a => {
    const texts = a.below.map(l => l.threshold);
    return html`<${Head} title="Alerts" sub=${a.own ? 'Thresholds of this account' : 'Default thresholds. Set your own to change them.'}>
        ${a.own && role === 'admin' && html`<${Form} inline submit="Use the defaults" onSubmit=${() => save(null)} />`}<//>
      <div class="cards"><${Card} title="Send an alert when the balance is below" span="7">${a.below.length ? html`<${Table} label="Thresholds" heads=${['Threshold', ['Now', 'n'], 'State', '']}>
          ${a.below.map(l => html`<tr key=${l.threshold}><td>${l.threshold.endsWith('%') ? `${l.threshold} of the period’s ${unit}` : `${num(l.threshold)} ${unit}`}</td><td class="n">${num(l.credits)}</td>
            <td>${l.due ? html`<${Pill} kind="warn">below<//>` : html`<${Pill} kind="ok">above<//>`}</td>
            <td>${role === 'admin' && html`<button class="small" onClick=${() => save(texts.filter(t => t !== l.threshold))} aria-label=${`Remove ${l.threshold}`}>Remove</button>`}</td></tr>`)}<//>` : html`<${Empty}>No thresholds: no alerts are sent.<//>`}
        ${role === 'admin' && html`<div class="gap"><${Form} inline submit="Add" onSubmit=${async (v, form) => { await save([...texts, v.threshold.replace(/\s/g, '')]); form.reset(); }}>
          <${Field} label="Threshold" name="threshold" required placeholder="20% or 500" pattern="\\s*[0-9.,_]+\\s*%?\\s*" /><//></div>`}<//>
        <${Card} title="Recipients" span="5">${a.email.length ? html`<ul>${a.email.map(e => html`<li key=${e}>${e}</li>`)}</ul>` : html`<${Empty}>No admin of this account has an e-mail address yet.<//>`}
          <p class="mute sm">Alerts go to admins with an e-mail address, if the operator has set up mail. Each alert is sent once per billing period.</p><//>
        ${role === 'admin' && html`<${Card} title="Webhook"><${Webhook} /><//>`}</div>`;
  }}<//>`;
}

/** The account's own webhook; the secret that signs is shown when it is set. */
function Webhook() {
  const hook = useData('v1/webhook');
  const [secret, show] = useState('');
  return html`<${View} of=${hook}>${w => html`<p class="mute sm">Sends an event as a signed POST request to your URL when credits run low, run out or are granted.</p>
    ${w.url && html`<p>Goes to <code>${w.url}</code> <${Confirm} text="Remove…" question="Remove the webhook?" submit="Remove" onConfirm=${async () => { await del('v1/webhook'); hook.retry(); }}><p>Events will no longer be sent.</p><//></p>`}
    ${secret && html`<${Secret} secret=${secret} what="Signs the requests." />`}
    <${Form} inline submit=${w.url ? 'Change' : 'Set'} onSubmit=${async (v, form) => { show((await put('v1/webhook', v)).secret); form.reset(); hook.retry(); }}>
      <${Field} label="Address" name="url" type="url" required placeholder="https://app.example.com/hooks/credits" /><//>
    ${w.deliveries.length > 0 && html`<h3>Latest deliveries</h3><${Table} label="Deliveries" heads=${['Time', 'Event', 'Result']}>${w.deliveries.map(d => html`<tr key=${d.id}><td class="t">${stamp(d.created_at)}</td><td>${d.type}</td>
      <td><${Pill} kind=${{ delivered: 'ok', failed: 'bad' }[d.state] || ''}>${d.state}<//> <span class="mute sm">${d.error || ''}</span></td></tr>`)}<//>`}`}<//>`;
}
