// What was used: by what, when, and how it compares.
import { html } from '../vendor/preact-htm.js';
import { add, clock, day, divide, month, money, negative, num, percent, plural, quantities, sub, title, zero } from '../format.js';
import { query, url } from '../api.js';
import { href, useQuery } from '../router.js';
import { Bars, Share } from '../chart.js';
import { Card, Empty, Head, Select, Table, View, useData, useSession } from '../parts.js';
import { Range, asked, interval, rangeText } from './range.js';

const dimensions = ['model', 'operation', 'feature', 'member', 'key'];
const own = ['account', 'period', 'from', 'to', 'group_by', 'interval', 'tz'];

export default function Usage() {
  const [q, set] = useQuery({ period: '30d', from: '', to: '', group_by: 'operation', interval: '' });
  const { sees_all: seesAll } = useSession();
  const filters = Object.fromEntries(Object.entries(q).filter(([name]) => !own.includes(name)));
  const about = { ...asked(q), ...filters };
  const totals = useData(`v1/usage?${query({ ...about, group_by: q.group_by })}`);
  const cut = totals.data ? q.interval || interval(totals.data.from, totals.data.to) : '';
  const cells = useData(cut && `v1/usage?${query({ ...about, group_by: q.group_by, interval: cut })}`);
  return html`<${View} of=${totals}>${t => html`
    <${Head} title="Usage" sub=${rangeText(t.from, t.to)}><${Range} q=${q} set=${set} />
      <a class="btn" download href=${url(`v1/usage?${query({ ...about, group_by: q.group_by, interval: cut, format: 'csv' })}`)}>Export CSV</a><//>
    <${Filters} filters=${filters} set=${set} />
    <div class="cards"><${Sums} report=${t} />
      <${Card} title=${`${title(t.unit)} by ${cut}`} aside=${html`<span class="row">
        <${Select} label="Group by" value=${q.group_by} options=${[...dimensions.filter(d => seesAll || d !== 'member'), ...t.labels].map(d => [d, title(d)])} onChange=${v => set({ group_by: v })} />
        <${Select} label="Interval" hide value=${cut} options=${['hour', 'day', 'week', 'month']} onChange=${v => set({ interval: v })} /></span>`}>
        <${View} of=${cells}>${c => html`<${Chart} cells=${c} totals=${t} interval=${cut} />`}<//><//>
      <${Card} title=${`By ${q.group_by}`}><${Groups} report=${t} by=${q.group_by} set=${set} /><//>
      ${seesAll && q.group_by !== 'member' && html`<${Other} about=${about} by="member" span="5" set=${set} />`}
      <${Hints} about=${about} wide=${!seesAll || q.group_by === 'member'} /></div>`}<//>`;
}

function Filters({ filters, set }) {
  const list = Object.entries(filters).filter(([, v]) => v !== undefined);
  return list.length > 0 && html`<p class="row gap">${list.map(([name, value]) => html`<button class="small" key=${name} onClick=${() => set({ [name]: undefined })}
    aria-label=${`Remove the filter ${name}`}>${title(name)}: ${value || 'none'} ✕</button>`)}</p>`;
}

function Sums({ report: { total, before, unit, from, to } }) {
  const days = Math.max(1, Math.round((Math.min(Date.parse(to), Date.now()) - Date.parse(from)) / 864e5));
  const change = percent(sub(total.credits, before.credits), before.credits);
  return html`
    <section class="card s4"><h2 class="mute">${title(unit)}</h2><div class="big">${num(total.credits)}</div>
      <div class="mute">${total.worth ? money(total.worth) + ' · ' : ''}${compared(change)}</div></section>
    <section class="card s4"><h2 class="mute">Requests</h2><div class="big">${num(total.requests)}</div>
      <div class="mute">${num(total.failed)} failed, not charged${!zero(total.refunded) ? ` · ${num(total.refunded)} refunded` : ''}</div></section>
    <section class="card s4"><h2 class="mute">Average per day</h2><div class="big">${num(divide(total.credits, days, 2))}</div><div class="mute">${plural(days, 'day')}</div></section>`;
}

function compared(change) {
  if (change === null) return 'nothing in the period before';
  if (change >= 900) return `${num(Math.round(change / 100) + 1)} × the period before`;
  return `${change > 0 ? '+' : change < 0 ? '−' : ''}${Math.abs(change)} % on the period before`;
}

const most = 5;
const nameOf = (report, group) => report.groups[group] || 'none';

function Chart({ cells, totals, interval: cut }) {
  if (!totals.data.length) return html`<${Empty}>No usage in this period.<//>`;
  const named = totals.data.slice(0, most).map(l => l.group), rest = totals.data.length > most;
  const at = new Map(cells.intervals.map((t, i) => [Date.parse(t), i]));
  const series = named.map((g, i) => ({ group: g, name: nameOf(totals, g), color: i + 1, data: cells.intervals.map(() => '0') }));
  if (rest) series.push({ name: 'others', color: 6, data: cells.intervals.map(() => '0') });
  for (const l of cells.data) {
    const s = series.find(x => x.group === l.group), i = at.get(Date.parse(l.start));
    if (s) s.data[i] = l.credits;
    else if (rest) series[most].data[i] = add(series[most].data[i], l.credits);
  }
  const label = t => (cut === 'hour' ? (cells.intervals.length > 26 ? `${day(t)} ${clock(t)}` : clock(t)) : cut === 'month' ? month(t) : day(t));
  return html`<${Bars} labels=${cells.intervals.map(label)} series=${series}
      title=${`${totals.unit} by ${cut}; the table below has the numbers`} />
    <ul class="legend">${series.map(s => html`<li key=${s.name}><span class=${`dot b${s.color}`} />${s.name}</li>`)}</ul>`;
}

function Groups({ report, by, set }) {
  if (!report.data.length) return html`<${Empty}>No usage in this period.<//>`;
  return html`<${Table} label=${`Usage by ${by}`} heads=${[title(by), ['Requests', 'n'], 'Quantity', [title(report.unit), 'n'], ['Worth', 'n'], 'Share']}>
    ${report.data.map((l, i) => html`<tr key=${l.group}><td><button class="link" title="Show only this" onClick=${() => set({ [by]: l.group })}>${nameOf(report, l.group)}</button></td>
      <td class="n">${num(l.requests)}</td><td class="mute sm">${quantities(l.quantities)}</td><td class="n">${num(l.credits)}</td><td class="n">${l.worth && money(l.worth)}</td>
      <td><${Share} percent=${percent(l.credits, report.total.credits)} color=${Math.min(i, most) + 1} /><span class="hidden">${percent(l.credits, report.total.credits)} %</span></td></tr>`)}<//>
    <p class="sm"><a href=${href('charges')}>All charges</a></p>`;
}

function Other({ about, by, span, set }) {
  const data = useData(`v1/usage?${query({ ...about, group_by: by })}`);
  return html`<${Card} title=${`By ${by}`} span=${span}><${View} of=${data}>${r => (r.data.length ? html`<table><tbody>${r.data.map(l => html`<tr key=${l.group}>
    <td><button class="link" onClick=${() => set({ [by]: l.group })}>${r.groups[l.group] || `no ${by}`}</button></td><td class="n">${num(l.credits)}</td></tr>`)}</tbody></table>` : html`<${Empty}>No usage.<//>`)}<//><//>`;
}

/** What the same requests would have cost otherwise; computed by the server. */
function Hints({ about, wide }) {
  const data = useData(`v1/usage/hints?${query(about)}`);
  return html`<${Card} title="The same requests with cheaper models" span=${wide ? 12 : 7}><${View} of=${data}>${h => (h.data.length ? html`<${Table} label="Hints"
    heads=${['Instead of', 'With', ['Paid', 'n'], ['Would cost', 'n'], ['Saves', 'n']]}>${h.data.map(x => html`<tr key=${x.operation + x.model}>
      <td>${x.name}${x.model && html` <span class="mute">${x.model}</span>`}</td><td>${x.kind === 'model' ? x.cheaper : 'standard settings'}</td>
      <td class="n">${num(x.credits)}</td><td class="n">${num(x.would_cost)}</td><td class="n">${negative(x.saves)}${x.worth && html`<div class="mute sm">${money(x.worth)}</div>`}</td></tr>`)}<//>
    <p class="mute sm gap">Recorded quantities at current prices. Check that the quality of a cheaper model is sufficient.</p>`
    : html`<${Empty}>The price list has no cheaper model of the same family with the required capabilities.<//>`)}<//><//>`;
}
