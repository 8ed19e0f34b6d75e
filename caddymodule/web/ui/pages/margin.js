// Charges and absorbed usage of all accounts.
import { html } from '../vendor/preact-htm.js';
import { money, num, percent, title, zero } from '../format.js';
import { query } from '../api.js';
import { href, useQuery } from '../router.js';
import { Share } from '../chart.js';
import { Card, Empty, Head, Select, Table, View, useData } from '../parts.js';
import { Range, asked, presets, rangeText } from './range.js';

export default function Margin() {
  const [q, set] = useQuery({ period: '30d', from: '', to: '', group_by: 'operation' });
  const data = useData(`admin/v1/margin?${query({ ...asked(q), group_by: q.group_by })}`);
  return html`<${View} of=${data}>${v => html`<${Head} title="Margin" sub=${`${rangeText(v.from, v.to)} · all accounts`}>
      <${Range} q=${q} set=${set} options=${presets.filter(([id]) => id !== 'this_period')} /><//>
    <div class="cards">
      <section class="card s3"><h2 class="mute">${title(v.unit)} charged</h2><div class="big mid">${num(v.total.credits)}</div><div class="mute">${v.total.worth && money(v.total.worth)}</div></section>
      <section class="card s3"><h2 class="mute">Refunded</h2><div class="big mid">${num(v.total.refunded)}</div><div class="mute">${num(v.total.failed)} requests failed</div></section>
      <section class="card s3"><h2 class="mute">Absorbed losses</h2><div class="big mid">${num(v.total.absorbed)}</div><div class="mute">${v.total.absorbed_worth ? money(v.total.absorbed_worth) : 'delivered, but not paid'}</div></section>
      <section class="card s3"><h2 class="mute">Accounts</h2><div class="big mid">${num(v.accounts)}</div><div class="mute">${num(v.total.requests)} requests</div></section>
      <${Card} title=${`By ${q.group_by}`} aside=${html`<${Select} label="Group by" value=${q.group_by} options=${['operation', 'model', 'feature', 'account'].map(d => [d, title(d)])} onChange=${g => set({ group_by: g })} />`}>
        ${v.data.length ? html`<${Table} label="Margin" heads=${[title(q.group_by), ['Requests', 'n'], ['Charged', 'n'], ['Worth', 'n'], ['Refunded', 'n'], ['Absorbed', 'n'], ...(v.data.some(l => l.markup_worth) ? [['Markup', 'n']] : []), 'Share']}>${v.data.map((l, i) => html`<tr key=${l.group}>
          <td>${q.group_by === 'account' ? html`<a href=${href('accounts', { open: l.group })}>${l.group}</a>` : l.name || html`<span class="mute">none</span>`}</td><td class="n">${num(l.requests)}</td><td class="n">${num(l.credits)}</td><td class="n">${l.worth && money(l.worth)}</td>
          <td class="n">${zero(l.refunded) ? '' : num(l.refunded)}</td><td class="n">${zero(l.absorbed) ? '' : num(l.absorbed)}</td>${v.data.some(x => x.markup_worth) && html`<td class="n">${l.markup_worth && money(l.markup_worth)}</td>`}
          <td><${Share} percent=${percent(l.credits, v.total.credits)} color=${Math.min(i, 5) + 1} /><span class="hidden">${percent(l.credits, v.total.credits)} %</span></td></tr>`)}<//>` : html`<${Empty}>No usage in this period.<//>`}<//></div>`}<//>`;
}
