// What everything costs: always the price file that is in force.
import { html } from '../vendor/preact-htm.js';
import { counted, money, num, plural, title, zero } from '../format.js';
import { useQuery } from '../router.js';
import { Card, Empty, Head, Pill, Table, View, useData } from '../parts.js';

export default function Prices() {
  const prices = useData('v1/prices'), packs = useData('v1/packs');
  const [q, set] = useQuery({ q: '' });
  const fits = p => `${p.name} ${p.operation} ${p.model || ''} ${p.model_name || ''} ${p.feature || ''}`.toLowerCase().includes(q.q.toLowerCase());
  return html`<${View} of=${prices}>${v => html`
    <${Head} title="Prices" sub=${`In ${v.unit.plural}${v.unit.worth ? ` · one ${v.unit.name} is worth ${v.unit.worth}` : ''}`}>
      <label><span class="hidden">Search</span><input type="search" placeholder="Search…" value=${q.q} onInput=${e => set({ q: e.target.value }, { replace: true })} /></label><//>
    <div class="cards"><${Card} title="Operations"><${List} prices=${v.prices.filter(fits)} /><//>
      ${v.plans.map(p => html`<${Card} key=${p.id} title=${p.name} span="6" aside=${p.price && html`<span class="mute">${p.price}</span>`}><${Plan} plan=${p} unit=${v.unit} /><//>`)}
      ${packs.data && packs.data.data.length > 0 && html`<${Card} title="Packs"><${Table} label="Packs" heads=${['Pack', [title(v.unit.plural), 'n'], ['Price', 'n'], 'Valid', '']}>
        ${packs.data.data.map(p => html`<tr key=${p.id}><td>${p.name}</td><td class="n">${p.credits ? num(p.credits) : 'by price'}</td><td class="n">${money(p.price)}${p.max_price && html` – ${money(p.max_price)}`}</td>
          <td>${p.expires === 'never' ? 'always' : p.expires}</td><td>${!p.available && html`<span class="mute">not in this plan</span>`}</td></tr>`)}<//><//>`}</div>`}<//>`;
}

/** Operations that are priced by the same models share one list of them. */
function byModels(prices) {
  const operations = new Map(), shared = new Map();
  for (const p of prices.filter(x => x.model)) operations.set(p.operation, [...(operations.get(p.operation) || []), p]);
  for (const lines of operations.values()) {
    const same = JSON.stringify(lines.map(p => [p.model, p.price, p.adjusted]));
    shared.set(same, { names: [...((shared.get(same) || {}).names || []), lines[0].name], lines });
  }
  return [...shared.values()];
}

function List({ prices }) {
  const single = prices.filter(p => !p.model), shared = byModels(prices);
  if (!prices.length) return html`<${Empty}>No matching operation.<//>`;
  return html`<${Table} label="Prices" heads=${['Operation', 'Price', ['Credits', 'n'], ['Money', 'n']]}>
    ${single.map(p => html`<${Line} key=${p.operation} line=${p} name=${p.name} />`)}
    ${shared.map(s => html`<tr key=${s.names.join()}><th colspan="4" scope="rowgroup">${s.names.join(', ')}, by model</th></tr>
      ${s.lines.map(p => html`<${Line} key=${p.operation + p.model} line=${p} name=${p.model_name || p.model} />`)}`)}<//>`;
}

const Line = ({ line: p, name }) => html`<tr><td>${name}${p.tags.map(t => html` <${Pill} key=${t}>${t}<//>`)}</td>
  <td>${p.price}${p.adjusted && html` <span class="mute sm">depends on settings</span>`}</td>
  <td class="n">${p.credits && (zero(p.credits) ? html`<span class="mute">free</span>` : html`${num(p.credits)} <span class="mute sm">/ ${p.unit}</span>`)}</td><td class="n">${p.worth && p.credits && !zero(p.credits) && money(p.worth)}</td></tr>`;

function Plan({ plan, unit }) {
  return html`<ul>${plan.credits.map((c, i) => html`<li key=${i}>${c.amount === 'unlimited' ? `unlimited ${unit.plural}` : `${num(c.amount)} ${unit.plural}`}${c.every && ` every ${c.every}`} <span class="mute">${title(c.type)}</span></li>`)}
    ${Object.entries(plan.metadata || {}).map(([name, value]) => html`<li key=${name}>${title(name)}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}</li>`)}</ul>
    ${plan.estimates.length > 0 && html`<p class="mute sm">Enough for ${plan.estimates.slice(0, 4).map(e => (e.unit === 'request' ? `${plural(e.count, 'request')} (${e.name})` : `${counted(e.count, e.unit)} (${e.model || e.name})`)).join(' or ')}.</p>`}`;
}
