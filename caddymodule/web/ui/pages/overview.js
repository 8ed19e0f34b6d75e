// What is there, how fast it goes, and what it is enough for.
import { html, useState } from '../vendor/preact-htm.js';
import { away, approx, counted, date, day, daysBetween, geometry, link, money, num, percent, plural, title, zero, zoneName } from '../format.js';
import { href } from '../router.js';
import { Burn } from '../chart.js';
import { Card, Dialog, Empty, Head, Table, View, useData, useSession } from '../parts.js';
import { Charges } from './chargetable.js';

export default function Overview() {
  const balance = useData('v1/balance'), packs = useData('v1/packs');
  const [buying, buy] = useState(false);
  const { role } = useSession();
  return html`<${View} of=${balance}>${b => html`
    <${Head} title=${b.name} sub=${planLine(b)}>
      ${link(b.links.upgrade) && html`<a class="btn" href=${link(b.links.upgrade)}>Change plan</a>`}
      ${role === 'admin' && html`<${Buy} balance=${b} packs=${packs.data} onOpen=${() => buy(true)} />`}<//>
    ${buying && html`<${Shop} balance=${b} packs=${packs.data} onClose=${() => buy(false)} />`}
    <${Notice} balance=${b} packs=${packs.data} admin=${role === 'admin'} />
    <div class="cards">
      <${Card} title="Balance" span="5"><${Balance} balance=${b} /><//>
      <${Card} title="Burn rate" span="7" aside=${b.burn && html`<span class="mute">last ${plural(b.burn.window_days, 'day')}</span>`}><${Rate} balance=${b} /><//>
      <${Card} title="What your balance pays for" span="4"><${Affordable} list=${b.affordable} /><//>
      <${Card} title="Latest charges" span="8" aside=${html`<a href=${href('charges')}>All charges</a>`}><${Latest} balance=${b} /><//></div>`}<//>`;
}

function planLine({ plan, next_grant: next }) {
  if (!plan) return 'No plan';
  const parts = [plan.name];
  if (plan.price) parts.push(plan.price);
  if (plan.ends_at) parts.push(`ends ${date(plan.ends_at)} (${away(plan.ends_at)})`);
  else if (plan.next) parts.push(`changes to ${plan.next} on ${date(plan.renews_at)}`);
  else if (plan.renews_at) parts.push(`renews ${date(plan.renews_at)} (${away(plan.renews_at)})`);
  else if (next) parts.push(`${num(next.amount)} more on ${date(next.at)} (${away(next.at)})`);
  return parts.join(' · ');
}

const offers = packs => ((packs && packs.data) || []).filter(p => p.available);

function Buy({ balance, packs, onOpen }) {
  const direct = link(balance.links.top_up);
  if (offers(packs).length) return html`<button class="btn primary" onClick=${onOpen}>Buy credits</button>`;
  return direct ? html`<a class="btn primary" href=${direct}>Buy credits</a>` : null;
}

function Shop({ balance, packs, onClose }) {
  return html`<${Dialog} title="Buy credits" onClose=${onClose}><${Table} label="Packs" heads=${['Pack', ['Price', 'n'], 'Valid', '']}>
    ${offers(packs).map(p => html`<tr key=${p.id}><td>${p.name}${p.credits && html`<div class="mute sm">${num(p.credits)} ${balance.unit.plural}</div>`}</td>
      <td class="n">${money(p.price)}${p.max_price && html` – ${money(p.max_price)}`}</td><td>${p.expires === 'never' ? 'always' : p.expires}</td>
      <td>${link(p.url) ? html`<a class="btn small" href=${link(p.url)}>Buy</a>` : 'ask your provider'}</td></tr>`)}<//>
    <p class="mute sm gap">Credits are added as soon as the payment arrives.</p><//>`;
}

/** What an account that runs low has to know, and the way out. */
function Notice({ balance: b, packs, admin }) {
  const offer = offers(packs).find(p => link(p.url));
  const out = admin ? (offer ? html` <a href=${offer.url}>Buy ${offer.name} for ${money(offer.price)}</a>` : link(b.links.top_up) && html` <a href=${b.links.top_up}>Buy credits</a>`)
    : ' Ask an admin of this account to buy more.';
  const renewal = b.next_grant && b.next_grant.at;
  if (b.status === 'suspended') return html`<div class="note bad" role="status"><strong>This account is suspended.</strong> Requests are refused. ${link(b.links.support) && html`<a href=${b.links.support}>Ask support</a>`}</div>`;
  if (b.status === 'exhausted') return html`<div class="note bad" role="status"><strong>The ${b.unit.plural} are used up.</strong> Paid requests are refused${renewal && html` until <strong>${date(renewal)}</strong>, when ${num(b.next_grant.amount)} more come`}.${out}</div>`;
  if (b.status === 'overage') return html`<div class="note" role="status"><strong>${num(b.overage)} ${b.unit.plural} of overage</strong>${b.overage_worth && html` (${money(b.overage_worth)})`} in this billing period.${out}</div>`;
  if (b.status !== 'low') return null;
  const share = b.allowance && `${100 - b.allowance.used_percent} % of this period's ${b.unit.plural} are left.`;
  const ends = b.burn && b.burn.runs_out_at;
  return html`<div class="note" role="status"><strong>${share || `${num(b.available)} ${b.unit.plural} are left.`}</strong>
    ${ends && html` At the current rate everything is used up on <strong>${date(ends)}</strong>${renewal && daysBetween(ends, renewal) > 0 && `, ${plural(daysBetween(ends, renewal), 'day')} before renewal`}.`}${out}</div>`;
}

function Balance({ balance: b }) {
  return html`<div class="big">${b.unlimited ? 'Unlimited' : num(b.available)} <small>${b.unit.plural}${b.worth && ` ≈ ${money(b.worth)}`}</small></div>
    ${!zero(b.held) && html`<p class="mute sm">${num(b.held)} held for requests that are running</p>`}
    ${!zero(b.debt) && html`<p class="mute sm">${num(b.debt)} owed; the next credits pay it first</p>`}
    <div class="gap">${b.grants.length ? inDrawOrder(b.grants).map((g, i) => html`<${Grant} key=${g.id} grant=${g} color=${i % 5 + 1} />`) : html`<${Empty}>No credits have been granted yet.<//>`}</div>`;
}

/** Renewed allowances are drawn before what was bought, as a rule. */
const inDrawOrder = grants => [...grants].sort((a, b) => Number(b.renews || false) - Number(a.renews || false));

function Grant({ grant: g, color }) {
  const name = title(g.name), about = [];
  if (!g.unlimited) about.push(`${num(g.remaining)} left`);
  if (g.expires_at) about.push(`${g.renews ? 'resets' : 'expires'} ${date(g.expires_at)}`);
  else about.push('never expires');
  if (g.rollover === 'none') about.push('unused credits do not roll over');
  else if (g.rollover === 'all') about.push('unused credits roll over');
  else if (g.rollover) about.push(`up to ${num(g.rollover)} roll over`);
  const share = percent(g.used, g.amount) || 0;
  return html`<div class="grant"><div class="row sp"><span><span class=${`dot b${color}`} />${name}</span>
    <span class="num">${g.unlimited ? `${num(g.used)} used` : `${num(g.used)}/${num(g.amount)} used`}</span></div>
    ${!g.unlimited && html`<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax=${g.amount} aria-valuenow=${g.used} aria-label=${`${name}: credits used`}
      aria-valuetext=${`${num(g.used)} of ${num(g.amount)} used`}><i class=${`b${color}`} style=${{ width: `${share}%` }} /></div>`}
    <div class="mute sm">${about.join(' · ')}</div></div>`;
}

function Rate({ balance: b }) {
  const trail = useData(`v1/balance/days?tz=${encodeURIComponent(zoneName())}`);
  const burn = b.burn;
  return html`${burn ? html`<div class="row wide"><div><div class="big mid">${approx(burn.per_day)}</div><div class="mute">a day</div></div>
      <div><div class="big mid">${approx(burn.per_month)}</div><div class="mute">a month</div></div>
      <div><div class="big mid">${burn.runs_out_at ? day(burn.runs_out_at) : '–'}</div><div class="mute">${burn.runs_out_at ? 'runs out' : 'does not run out'}</div></div></div>`
    : html`<${Empty}>After three days of use, this shows how long the credits will last.<//>`}
    <div class="gap"><${View} of=${trail}>${t => html`<${Line} trail=${t} burn=${burn} />`}<//></div>`;
}

function Line({ trail, burn }) {
  const point = p => ({ at: Date.parse(p.at), v: geometry(p.available) });
  const past = trail.past.map(point), ends = burn && burn.runs_out_at ? Date.parse(burn.runs_out_at) : 0;
  const coming = trail.coming.map(point).filter(p => past.length && p.at > past[past.length - 1].at).slice(0, 21);
  if (past.length < 2) return null;
  const last = coming[coming.length - 1], rate = burn && geometry(burn.per_day);
  if (last && rate && ends && ends <= last.at) coming.push({ at: last.at + last.v / rate * 864e5, v: 0 }); // on its last day
  const now = past[past.length - 1].at;
  const marks = [{ at: past[0].at, text: day(past[0].at) }, { at: now, text: 'now' }];
  if (last) marks.push({ at: coming[coming.length - 1].at, text: day(coming[coming.length - 1].at) });
  return html`<${Burn} past=${past} coming=${coming} marks=${marks}
    title=${`Balance over the last 14 days${ends ? ` and at the current rate: used up on ${date(ends)}` : ''}`} />`;
}

function Affordable({ list }) {
  if (!list.length) return html`<${Empty}>The price list is empty.<//>`;
  return html`<table><tbody>${list.slice(0, 12).map(a => html`<tr key=${a.operation + a.model}><th scope="row" class="plain">${a.name}${a.model && html` <span class="mute">${a.model}</span>`}${a.typical && html` <span class="mute">typical</span>`}</th>
    <td class="n">${a.count === null ? 'unlimited' : a.unit === 'request' ? num(a.count) : counted(a.count, a.unit)}</td></tr>`)}</tbody></table>
    <p class="mute sm gap">If you used only one of these.</p>`;
}

/** The latest charges, and the credits that came in between. */
function Latest({ balance: b }) {
  const charges = useData('v1/charges?limit=6');
  return html`<${View} of=${charges}>${({ data }) => html`<${Charges} list=${data} grants=${b.grants} />`}<//>`;
}
