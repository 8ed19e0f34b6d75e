// API keys: shown once, revoked at once.
import { html, useState } from '../vendor/preact-htm.js';
import { day, stamp } from '../format.js';
import { del, post } from '../api.js';
import { Card, Confirm, Dialog, Empty, Field, Form, Head, Pill, Secret, Table, View, useData, useSession } from '../parts.js';

export default function Keys() {
  const keys = useData('v1/keys');
  const { role, member } = useSession();
  const [making, make] = useState(false);
  const may = role === 'admin' || (role === 'member' && member);
  return html`<${Head} title="Keys" sub="Keys for programs">${may && html`<button class="btn primary" onClick=${() => make(true)}>New key</button>`}<//>
    ${making && html`<${NewKey} onClose=${() => make(false)} onDone=${keys.retry} />`}
    <div class="cards"><${Card}><${View} of=${keys}>${({ data }) => html`<${List} keys=${data} may=${k => role === 'admin' || (may && k.member === member)} retry=${keys.retry} />`}<//><//></div>`;
}

export function List({ keys, may, retry, path = 'v1/keys' }) {
  if (!keys.length) return html`<${Empty}>No keys yet.<//>`;
  return html`<${Table} label="Keys" heads=${['Name', 'Key', path === 'v1/keys' ? 'Member' : 'May', 'Made', 'Valid', '']}>${[...keys].reverse().map(k => html`<tr key=${k.id}>
    <td>${k.name || html`<span class="mute">no name</span>`}</td><td><code>${k.hint}</code></td><td>${k.member || (k.scopes ? k.scopes[k.scopes.length - 1] : '')}</td><td class="t">${day(k.created_at)}</td>
    <td>${k.revoked_at ? html`<${Pill} kind="bad">revoked ${day(k.revoked_at)}<//>` : k.expires_at ? (Date.parse(k.expires_at) < Date.now() ? html`<${Pill} kind="bad">expired<//>` : `until ${stamp(k.expires_at)}`) : 'until revoked'}</td>
    <td>${!k.revoked_at && may(k) && html`<${Confirm} text="Revoke…" question="Revoke this key?" submit="Revoke" onConfirm=${async () => { await del(`${path}/${encodeURIComponent(k.id)}`); retry(); }}>
      <p>Programs that use <code>${k.hint}</code> will be refused. This cannot be undone.</p><//>`}</td></tr>`)}<//>`;
}

/** The day after which a key is not valid any more, as a time. */
const endOf = text => (text ? new Date(text + 'T23:59:59').toISOString() : undefined);

function NewKey({ onClose, onDone }) {
  const { role } = useSession();
  const members = useData('v1/members');
  const [made, show] = useState();
  return html`<${Dialog} title="New key" onClose=${onClose}>${made ? html`<${Secret} secret=${made.secret} what="Copy the key now." /><p class="gap"><button onClick=${onClose}>Done</button></p>` : html`
    <${Form} submit="Create the key" onSubmit=${async v => {
      show(await post('v1/keys', { name: v.name, member: v.member || '', ...(v.until ? { expires_at: endOf(v.until) } : {}) }));
      onDone();
    }}><${Field} label="Name" name="name" maxlength="100" required placeholder="Shop backend" />
      ${role === 'admin' && members.data && members.data.data.length > 0 && html`<label class="field"><span>Member</span><select name="member"><option value="">no member</option>
        ${members.data.data.map(m => html`<option key=${m.id} value=${m.id}>${m.name || m.id}</option>`)}</select></label>`}
      <${Field} label="Valid until" name="until" type="date" hint="Leave empty for a key that does not expire." /><//>`}<//>`;
}
