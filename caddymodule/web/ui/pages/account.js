// One account, for operators: what it has, and what can be done about it.
import { html, useRef, useState } from '../vendor/preact-htm.js';
import { date, day, money, num, signed, stamp, title, zero } from '../format.js';
import { base, idempotencyKey, patch, post, put } from '../api.js';
import { href } from '../router.js';
import { Card, Confirm, Copy, Dialog, Empty, Field, Form, Head, Pill, Table, View, useData, useSession } from '../parts.js';
import { List as Keys } from './keys.js';

const inner = (id, rest = '') => `admin/v1/accounts/${encodeURIComponent(id)}${rest}`;

export function Account({ id }) {
  const account = useData(inner(id)), { can } = useSession();
  return html`<p class="sm"><a href=${href('accounts')}>← All accounts</a></p><${View} of=${account}>${a => html`
    <${Head} title=${a.name || a.id} sub=${[a.name && a.id, a.plan_name || a.plan || 'no plan', a.renews_at && `${a.at_renewal || 'renews'} ${date(a.renews_at)}`, `since ${day(a.created_at)}`].filter(Boolean).join(' · ')}>
      <a class="btn" href=${href('', { account: id })}>See as the customer</a>
      ${can('grant') && html`<${Grant} account=${a} done=${account.retry} />`}<//>
    ${a.suspended && html`<div class="note bad" role="status"><strong>Suspended.</strong> Its requests are refused.</div>`}
    <div class="cards"><${Card} title="Balance" span="4"><div class="big">${a.unlimited ? 'Unlimited' : num(a.available)} <small>${a.unit}</small></div>
        <dl>${[['Worth', a.worth && money(a.worth)], ['Held', `${num(a.held)} in ${a.open_holds} requests`], ['Spent', num(a.spent)], ['Overage', !zero(a.overage) && num(a.overage)], ['Debt', !zero(a.debt) && num(a.debt)], ['Absorbed', !zero(a.absorbed) && num(a.absorbed)]]
          .filter(([, v]) => v).map(([name, v]) => html`<dt>${name}</dt><dd>${v}</dd>`)}</dl>
        ${can('admin') && html`<div class="row"><${Plan} account=${a} done=${account.retry} /><${Suspend} account=${a} done=${account.retry} /></div>`}<//>
      <${Card} title="Grants" span="8">${a.grants.length ? html`<${Table} label="Grants" heads=${['Grant', ['Amount', 'n'], ['Used', 'n'], ['Left', 'n'], 'Expires', '']}>${a.grants.map(g => html`<tr key=${g.id}>
        <td>${title(g.name || g.type)}<div class="mute sm">${g.type}</div></td><td class="n">${num(g.amount)}</td><td class="n">${num(g.used)}</td><td class="n">${num(g.remaining)}</td>
        <td>${g.expires_at ? day(g.expires_at) : 'never'}</td><td>${can('grant') && html`<${Void} grant=${g} account=${id} done=${account.retry} />`}</td></tr>`)}<//>` : html`<${Empty}>None.<//>`}<//>
      <${Card} title="Members" span="5"><${Members} id=${id} /><//>
      <${Card} title="Keys" span="7" aside=${can('admin') && html`<${Link} id=${id} />`}><${AccountKeys} id=${id} /><//>
      <${Card} title="Journal"><${Journal} id=${id} /><//></div>`}<//>`;
}

const Reason = () => html`<${Field} label="Reason" name="reason" required hint="It is kept in the ledger." />`;

function Grant({ account, done }) {
  const plans = useData('admin/v1/plans');
  const [open, set] = useState(false), [pack, choose] = useState('');
  const key = useRef();
  const send = async ({ amount, type, expires, price, reason }) => {
    await post(inner(account.id, '/grants'), pack ? { pack, reason, ...(price ? { price } : {}) } : { amount, type, reason, ...(expires ? { expires } : {}) }, { headers: { 'Idempotency-Key': key.current } });
    set(false);
    done();
  };
  const packs = (plans.data && plans.data.packs) || [], chosen = packs.find(p => p.id === pack);
  return html`<button class="btn primary" onClick=${() => { key.current = idempotencyKey(); set(true); }}>Grant credits</button>
    ${open && html`<${Dialog} title="Grant credits" onClose=${() => set(false)}><${Form} submit="Grant" onSubmit=${send}>
      <label class="field"><span>What</span><select value=${pack} onChange=${e => choose(e.target.value)}><option value="">an amount</option>${packs.map(p => html`<option key=${p.id} value=${p.id}>${p.name} (${p.price})</option>`)}</select></label>
      ${!pack && html`<div class="two"><${Field} label="Amount" name="amount" required inputmode="decimal" /><${Field} label="Type" name="type" value="top_up" /></div>
        <${Field} label="Expires after" name="expires" placeholder="never; 90 days" />`}
      ${chosen && !chosen.credits && html`<${Field} label="Paid" name="price" required placeholder="25 USD" />`}<${Reason} /><//><//>`}`;
}

function Plan({ account, done }) {
  const plans = useData('admin/v1/plans');
  return html`<${Confirm} text="Change plan…" question="Change the plan" submit="Change" onConfirm=${async v => { await put(inner(account.id, '/subscription'), v); done(); }}>
    <label class="field"><span>Plan</span><select name="plan">${plans.data && plans.data.plans.map(p => html`<option key=${p.id} value=${p.id} selected=${p.id === account.plan}>${p.name}</option>`)}</select></label>
    <label class="field"><span>When</span><select name="when"><option value="now">now: the new allowance at once</option><option value="renewal">at renewal</option></select></label><${Field} label="Reason" name="reason" /><//>`;
}

function Suspend({ account, done }) {
  return html`<${Confirm} text=${account.suspended ? 'Resume…' : 'Suspend…'} question=${account.suspended ? 'Resume this account?' : 'Suspend this account?'} submit=${account.suspended ? 'Resume' : 'Suspend'}
    onConfirm=${async v => { await patch(inner(account.id), { suspended: !account.suspended, reason: v.reason }); done(); }}>
    <p>${account.suspended ? 'Its requests are metered again.' : 'Its requests are refused until it is resumed. Its credits stay.'}</p><${Reason} /><//>`;
}

const Void = ({ grant, account, done }) => html`<${Confirm} text="Void…" question="Void this grant?" submit="Void" onConfirm=${async v => { await post(inner(account, `/grants/${encodeURIComponent(grant.id)}/void`), v); done(); }}>
  <p>The ${num(grant.remaining)} that are left are taken back. What was used stays used.</p><${Reason} /><//>`;

function Members({ id }) {
  const members = useData(inner(id, '/members'));
  return html`<${View} of=${members}>${({ data }) => (data.length ? html`<table><tbody>${data.map(m => html`<tr key=${m.id}><td>${m.name || m.id}</td><td><${Pill}>${m.role}<//></td>
    <td class="mute sm">${(m.caps || []).map(c => `${num(c.amount)} a ${c.every}`).join(', ')}</td></tr>`)}</tbody></table>` : html`<${Empty}>None.<//>`)}<//>`;
}

function AccountKeys({ id }) {
  const keys = useData(inner(id, '/keys')), { can } = useSession();
  return html`<${View} of=${keys}>${({ data }) => html`<${Keys} keys=${data} may=${() => can('admin')} path=${inner(id, '/keys')} retry=${keys.retry} />`}<//>`;
}

/** A link that lets someone of the account in, once. */
function Link({ id }) {
  return html`<${Copy} label="Copy a sign-in link" text=${async () => {
    const { url } = await post('admin/v1/portal-sessions', { account: id, portal: location.origin + base });
    return url;
  }} />`;
}

function Journal({ id }) {
  const journal = useData(inner(id, '/journal?limit=30')), { can } = useSession();
  return html`<${View} of=${journal}>${({ data }) => (data.length ? html`<${Table} label="Journal" heads=${[['No.', 'n opt'], 'Time', 'Entry', 'What', ['Amount', 'n'], ['Postings', 'opt'], '']}>${[...data].reverse().map(e => html`<tr key=${e.seq}>
    <td class="n mute opt">${e.seq}</td><td class="t">${stamp(e.at)}</td><td><${Pill} kind=${{ settle: 'ok', refund: 'warn', void: 'bad', expire: 'warn' }[e.kind] || ''}>${e.kind}<//></td>
    <td class="w">${[e.operation, e.model, e.member, e.plan].filter(Boolean).join(' · ')} <span class="mute sm">${e.reason}</span></td><td class="n">${num(e.amount)}</td>
    <td class="mute sm opt">${e.postings.map(p => `${p.book} ${signed(p.amount)}`).join(', ')}</td>
    <td>${can('grant') && e.kind === 'settle' && html`<${Refund} charge=${e.charge} done=${journal.retry} />`}</td></tr>`)}<//>` : html`<${Empty}>Nothing has happened yet.<//>`)}<//>`;
}

function Refund({ charge, done }) {
  const key = useRef(idempotencyKey());
  return html`<${Confirm} text="Refund…" question="Refund this request" submit="Refund" onConfirm=${async v => {
    await post(`admin/v1/charges/${encodeURIComponent(charge)}/refund`, v, { headers: { 'Idempotency-Key': key.current } });
    key.current = idempotencyKey();
    done();
  }}><${Reason} /><${Field} label="Amount" name="amount" inputmode="decimal" placeholder="all of it" /><//>`;
}
