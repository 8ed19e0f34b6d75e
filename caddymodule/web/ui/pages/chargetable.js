// Charges as a table, for the overview and the page of charges.
import { html } from '../vendor/preact-htm.js';
import { brief, negative, num, stamp, title, zero } from '../format.js';
import { href, params } from '../router.js';
import { Empty, Pill, Table } from '../parts.js';

const kinds = { charged: 'ok', refunded: 'warn', 'refunded in part': 'warn', open: '' };

/** Grants between the listed charges are listed with them. */
export function Charges({ list, grants = [], keep = {} }) {
  if (!list.length && !grants.length) return html`<${Empty}>No requests yet. They appear here within a second.<//>`;
  const oldest = list.length ? list[list.length - 1].at : '';
  const rows = [
    ...list.map(c => ({ at: c.at, charge: c })),
    ...grants.filter(g => g.granted_at && g.granted_at >= oldest && Date.parse(g.granted_at) <= Date.now()).map(g => ({ at: g.granted_at, grant: g })),
  ].sort((a, b) => (a.at < b.at ? 1 : -1));
  return html`<${Table} label="Charges" heads=${['Time', 'Operation', ['By', 'opt'], ['Credits', 'n'], 'State']}>${rows.map(r => (r.grant ? html`
    <tr key=${r.grant.id}><td class="t">${stamp(r.at)}</td><td>${title(r.grant.name)}</td><td class="opt" /><td class="n">+${num(r.grant.amount)}</td><td><${Pill}>granted<//></td></tr>`
    : html`<${Row} key=${r.charge.id} charge=${r.charge} keep=${keep} />`))}<//>`;
}

function Row({ charge: c, keep }) {
  const what = [c.operation_name || c.operation || 'unknown', c.model, brief(c.quantities)].filter(Boolean);
  return html`<tr><td class="t"><a href=${href('charges', { ...keep, account: params().account, charge: c.id })}>${stamp(c.at)}</a></td>
    <td class="w">${what[0]}${what.length > 1 && html` <span class="mute">· ${what.slice(1).join(' · ')}</span>`}</td><td class="opt">${c.member || ''}</td>
    <td class="n">${c.state === 'open' ? html`<span class="mute">${num(c.held)} held</span>` : negative(c.credits)}</td>
    <td><${Pill} kind=${kinds[c.state]}>${c.state}<//>${c.state !== 'charged' && c.outcome && c.outcome !== 'answered' ? html` <span class="mute sm">${c.outcome}</span>` : ''}${c.estimated && !zero(c.credits) ? html` <span class="mute sm">estimated</span>` : ''}</td></tr>`;
}
