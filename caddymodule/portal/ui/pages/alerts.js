// When the account's admins are told that credits run low.
import { html } from '../vendor/preact-htm.js';
import { num } from '../format.js';
import { put } from '../api.js';
import { Card, Empty, Field, Form, Head, Pill, Table, View, useData, useSession } from '../parts.js';

export default function Alerts() {
  const alerts = useData('v1/alerts'), balance = useData('v1/balance');
  const { role } = useSession();
  const unit = balance.data ? balance.data.unit.plural : 'credits';
  const save = async below => { await put('v1/alerts', { below }); alerts.retry(); };
  return html`<${View} of=${alerts}>${a => {
    const texts = a.below.map(l => l.threshold);
    return html`<${Head} title="Alerts" sub=${a.own ? 'Thresholds of this account' : 'The usual thresholds; set your own to change them'}>
        ${a.own && role === 'admin' && html`<${Form} inline submit="Use the usual ones" onSubmit=${() => save(null)} />`}<//>
      <div class="cards"><${Card} title="Told when less is left than" span="7">${a.below.length ? html`<${Table} label="Thresholds" heads=${['Threshold', ['Now', 'n'], 'State', '']}>
          ${a.below.map(l => html`<tr key=${l.threshold}><td>${l.threshold.endsWith('%') ? `${l.threshold} of the period’s ${unit}` : `${num(l.threshold)} ${unit}`}</td><td class="n">${num(l.credits)}</td>
            <td>${l.due ? html`<${Pill} kind="warn">below<//>` : html`<${Pill} kind="ok">above<//>`}</td>
            <td>${role === 'admin' && html`<button class="small" onClick=${() => save(texts.filter(t => t !== l.threshold))} aria-label=${`Remove ${l.threshold}`}>Remove</button>`}</td></tr>`)}<//>` : html`<${Empty}>No thresholds: nobody is warned.<//>`}
        ${role === 'admin' && html`<div class="gap"><${Form} inline submit="Add" onSubmit=${async (v, form) => { await save([...texts, v.threshold.replace(/\s/g, '')]); form.reset(); }}>
          <${Field} label="Threshold" name="threshold" required placeholder="20% or 500" pattern="\\s*[0-9.,_]+\\s*%?\\s*" /><//></div>`}<//>
        <${Card} title="Who is told" span="5">${a.email.length ? html`<ul>${a.email.map(e => html`<li key=${e}>${e}</li>`)}</ul>` : html`<${Empty}>No admin of this account has an e-mail address yet.<//>`}
          <p class="mute sm">Admins with an e-mail address, where the operator sends mail. Each threshold is told once in a billing period.</p><//></div>`;
  }}<//>`;
}
