// Plans and packs of the price file, and who is on them.
import { html } from '../vendor/preact-htm.js';
import { money, num, title } from '../format.js';
import { href } from '../router.js';
import { Card, Empty, Head, Pill, Table, View, useData } from '../parts.js';

export default function Plans() {
  const plans = useData('admin/v1/plans');
  return html`<${View} of=${plans}>${v => html`<${Head} title="Plans & packs" sub="From the price file. Edit the file to change them." />
    <div class="cards"><${Card} title="Plans">${v.plans.length ? html`<${Table} label="Plans" heads=${['Plan', 'Price', 'Credits', ['Accounts', 'n']]}>${v.plans.map(p => html`<tr key=${p.id}>
        <td>${p.name || p.id}${p.name && p.name !== p.id && html` <span class="mute">${p.id}</span>`}${p.default ? html` <${Pill}>default<//>` : ''}${p.overage ? html` <${Pill} kind="warn">overage<//>` : ''}</td><td>${p.price || 'free'}</td>
        <td>${p.credits.map(c => `${num(c.amount)} ${title(c.type).toLowerCase()}${c.every ? ` every ${c.every}` : ''}`).join(', ')}</td><td class="n"><a href=${href('accounts', { q: p.id })}>${num(p.accounts)}</a></td></tr>`)}<//>` : html`<${Empty}>The price file has no plans.<//>`}<//>
      <${Card} title="Packs">${v.packs.length ? html`<${Table} label="Packs" heads=${['Pack', ['Credits', 'n'], ['Price', 'n'], 'Expires', 'For plans']}>${v.packs.map(p => html`<tr key=${p.id}><td>${p.name || p.id} <span class="mute">${p.id}</span></td>
        <td class="n">${p.credits ? num(p.credits) : 'by price'}</td><td class="n">${/ to /.test(p.price) ? p.price : money(p.price)}</td><td>${p.expires}</td><td>${(p.only_plans || []).join(', ') || 'all'}</td></tr>`)}<//>` : html`<${Empty}>The price file has no packs.<//>`}<//></div>`}<//>`;
}
