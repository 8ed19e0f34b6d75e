// Members: who they are, what they may do, how much they may spend.
import { html, useState } from '../vendor/preact-htm.js';
import { day, num } from '../format.js';
import { del, put } from '../api.js';
import { href } from '../router.js';
import { Card, Confirm, Dialog, Empty, Field, Form, Head, Pill, Table, View, useData, useSession } from '../parts.js';

const roles = [['admin', 'Admin: buys credits, manages keys and members'], ['member', 'Member: spends'], ['viewer', 'Viewer: looks']];
const every = ['hour', 'day', 'week', 'month', 'quarter', 'year'];

export default function Team() {
  const members = useData('v1/members');
  const { role } = useSession();
  const [editing, edit] = useState();
  if (role !== 'admin') return html`<${Head} title="Team" /><${Empty}>Only admins of this account manage its members.<//>`;
  return html`<${Head} title="Team" sub="All members spend from one balance"><button class="btn primary" onClick=${() => edit({})}>Add a member</button><//>
    ${editing && html`<${Editor} member=${editing} onClose=${() => edit()} onDone=${members.retry} />`}
    <div class="cards"><${Card}><${View} of=${members}>${({ data }) => (data.length ? html`<${Table} label="Members" heads=${['Member', 'Role', 'Cap', 'Since', '']}>
      ${data.map(m => html`<tr key=${m.id}><td>${m.name || m.id}<div class="mute sm">${[m.name && m.id, m.email].filter(Boolean).join(' · ')}</div></td>
        <td><${Pill}>${m.role}<//>${m.sees_all && m.role !== 'admin' ? html` <span class="mute sm">sees all</span>` : ''}</td>
        <td>${(m.caps || []).map(c => `${num(c.amount)} a ${c.every}`).join(', ') || html`<span class="mute">no limit</span>`}</td><td class="t">${day(m.created_at)}</td>
        <td><span class="row"><a class="btn small" href=${href('usage', { member: m.id })}>Usage</a><button class="small" onClick=${() => edit(m)}>Change…</button>
          <${Confirm} text="Remove…" question=${`Remove ${m.name || m.id}?`} submit="Remove" onConfirm=${async () => { await del(`v1/members/${encodeURIComponent(m.id)}`); members.retry(); }}>
            <p>The member’s keys are revoked at once. Past usage stays in reports.</p><//></span></td></tr>`)}<//>`
      : html`<${Empty}>No members yet. The account has only its own keys.<//>`)}<//><//></div>`;
}

function Editor({ member: m, onClose, onDone }) {
  const cap = (m.caps || [])[0] || {};
  const save = async v => {
    const caps = v.amount ? [{ amount: v.amount, every: v.every }, ...(m.caps || []).slice(1)] : (m.caps || []).slice(1);
    await put(`v1/members/${encodeURIComponent(m.id || v.id)}`, { name: v.name, email: v.email, role: v.role, sees_all: v.sees_all === 'on', caps });
    onDone();
    onClose();
  };
  return html`<${Dialog} title=${m.id ? `Change ${m.name || m.id}` : 'Add a member'} onClose=${onClose}><${Form} submit="Save" onSubmit=${save}>
    ${!m.id && html`<${Field} label="Id" name="id" required pattern="[A-Za-z0-9._\\-:@+~]+" hint="Letters, digits and . _ - : @ + ~. It cannot be changed." />`}
    <${Field} label="Name" name="name" value=${m.name || ''} maxlength="256" /><${Field} label="E-mail" name="email" type="email" value=${m.email || ''} />
    <label class="field"><span>Role</span><select name="role">${roles.map(([v, text]) => html`<option key=${v} value=${v} selected=${v === (m.role || 'member')}>${text}</option>`)}</select></label>
    <label class="row"><input type="checkbox" name="sees_all" checked=${m.sees_all} /> sees the usage of other members</label>
    <div class="two"><${Field} label="Spends at most" name="amount" inputmode="decimal" value=${cap.amount || ''} placeholder="no limit" />
      <label class="field"><span>every</span><select name="every">${every.map(e => html`<option key=${e} value=${e} selected=${e === (cap.every || 'month')}>${e}</option>`)}</select></label></div><//><//>`;
}
