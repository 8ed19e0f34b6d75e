// The price file: what is in force, what is on disk, and what a change would do.
import { html, useState } from '../vendor/preact-htm.js';
import { num, plural, stamp } from '../format.js';
import { post } from '../api.js';
import { Card, Empty, Field, Form, Head, Pill, Table, View, useData, useSession } from '../parts.js';

export default function PriceBook() {
  const loaded = useData('admin/v1/prices'), file = useData('admin/v1/prices/file'), health = useData('admin/v1/health');
  const { can } = useSession();
  return html`<${View} of=${loaded}>${v => html`<${Head} title="Price book" sub=${`${v.file} · ${health.data ? `loaded ${stamp(health.data.prices.since)} · ` : ''}${v.digest.slice(0, 10)}`}>
      ${file.data && html`<${State} file=${file.data} />`}
      ${can('admin') && html`<${Form} inline submit="Load the file" onSubmit=${async () => { await post('admin/v1/prices/reload'); loaded.retry(); file.retry(); }} />`}<//>
    <div class="cards">${file.data && file.data.problems.length > 0 && html`<${Card} title="Check"><${Problems} check=${file.data} /><//>`}
      <${Card} title="What would this cost?" span="5"><${Explain} /><//>
      <${Card} title="Try another price file" span="7"><${Draft} text=${(file.data && file.data.text) || v.text} days="30" /><//>
      <${Unpriced} /><${Card} title="In force"><pre tabindex="0" role="group" aria-label="Price file in force">${v.text}</pre><//></div>`}<//>`;
}

/** What came without a price, and what a pattern has priced: both are easily overlooked. */
function Unpriced() {
  const { data } = useData('admin/v1/prices/unpriced');
  if (!data || !data.requests.length && !data.caught.length) return null;
  return html`<${Card} title="Models without their own price"><${Table} label="Unpriced requests" heads=${['What', 'Why', ['Requests', 'n'], 'Last']}>
      ${data.requests.map((r, i) => html`<tr key=${i}><td><code>${r.method} ${r.path}</code> ${r.model}</td><td>${r.reason === 'free' ? 'passed for nothing' : 'refused'}</td><td class="n">${num(r.count)}</td><td class="t">${stamp(r.last)}</td></tr>`)}
      ${data.caught.map(m => html`<tr key=${m.entry + m.model}><td>${m.model}</td><td>priced by <code>${m.entry}</code></td><td class="n">${num(m.requests)}</td><td></td></tr>`)}<//><//>`;
}

function State({ file }) {
  const errors = file.problems.filter(p => !p.warning).length;
  if (errors || !file.ok) return html`<${Pill} kind="bad">file on disk has ${errors ? plural(errors, 'error') : 'gone'} — still using the loaded one<//>`;
  return file.loaded ? html`<${Pill} kind="ok">file on disk is in force<//>` : html`<${Pill} kind="warn">file on disk has changed<//>`;
}

function Problems({ check }) {
  if (!check.problems.length) return html`<p><${Pill} kind="ok">no errors<//> ${check.summary}</p>`;
  return html`<pre tabindex="0" role="group" aria-label="Problems">${check.problems.map(p => `${check.file}:${p.line}:${p.column}: ${p.warning ? 'warning: ' : ''}${p.path ? p.path + ': ' : ''}${p.message}\n${p.excerpt ? p.excerpt.replace(/\n*$/, '\n') : ''}`).join('')}</pre>`;
}

function Explain() {
  const [answer, show] = useState();
  return html`<${Form} submit="Explain" onSubmit=${async v => show(await post('admin/v1/prices/explain', { method: v.method, path: v.path, body: v.body, plan: v.plan }))}>
      <div class="two"><label class="field"><span>Method</span><select name="method">${['POST', 'GET', 'PUT'].map(m => html`<option key=${m} value=${m}>${m}</option>`)}</select></label><${Field} label="Path" name="path" required value="/v1/images" /></div>
      <label class="field"><span>Body</span><textarea name="body" rows="3" spellcheck="false">{"n": 2, "quality": "hd"}</textarea></label><${Field} label="Plan" name="plan" placeholder="the usual prices" /><//>
    ${answer && html`<pre tabindex="0" role="group" aria-label="Explanation" aria-live="polite">${answer.text}</pre>`}`;
}

/** A draft is checked, compared, and played over the charges of the last days. Nothing is put in force. */
function Draft({ text }) {
  const [draft, set] = useState(), [found, show] = useState();
  const send = async v => {
    const check = await post('admin/v1/prices/check', { text: v.text });
    show({ check, diff: check.ok ? await post('admin/v1/prices/diff', { text: v.text, days: Number(v.days) }) : undefined });
  };
  return html`<${Form} submit="Check and compare" onSubmit=${send}>
      <label class="field"><span>Price file</span><textarea name="text" rows="10" spellcheck="false" value=${draft ?? text} onInput=${e => set(e.target.value)} /></label>
      <${Field} label="Replay the charges of the last days" name="days" type="number" min="0" max="365" value="30" /><//>
    ${found && html`<div class="gap" aria-live="polite"><${Problems} check=${found.check} />${found.diff && html`<${Diff} diff=${found.diff} />`}</div>`}`;
}

function Diff({ diff: { changes, replay } }) {
  return html`<h3>Changes from the prices in force</h3>${changes.length ? html`<${Table} label="Changes" heads=${['What', ['Now', 'n'], ['New', 'n'], ['Change', 'n']]}>${changes.map((c, i) => html`<tr key=${i}>
      <td>${c.section} ${c.id} <span class="mute">${c.what}</span></td><td class="n">${c.old ? num(c.old) : html`<span class="mute">–</span>`}</td><td class="n">${c.new ? num(c.new) : html`<span class="mute">–</span>`}</td><td class="n">${c.percent || c.kind}</td></tr>`)}<//>` : html`<${Empty}>No differences.<//>`}
    ${replay && html`<h3>The last ${replay.days} days would have cost ${replay.difference} ${replay.unit}</h3>
      ${replay.rows.length > 0 && html`<${Table} label="Replay" heads=${['Operation', ['Charges', 'n'], ['Charged', 'n'], ['Would cost', 'n'], ['Difference', 'n']]}>${replay.rows.map((r, i) => html`<tr key=${i}><td>${r.operation} <span class="mute">${r.model}</span></td>
        <td class="n">${num(r.charges)}</td><td class="n">${num(r.charged)}</td><td class="n">${num(r.would_cost)}</td><td class="n">${num(r.difference)}</td></tr>`)}<//>`}
      ${replay.would_hit_402.map(a => html`<p key=${a.account}><${Pill} kind="warn">402<//> ${a.account} would have been refused ${plural(a.requests, 'time')}, first at ${stamp(a.first)}</p>`)}
      ${replay.reasons.map((r, i) => html`<p class="mute sm" key=${i}>Not priced again: ${plural(r.charges, 'charge')}, ${num(r.credits)} ${replay.unit}: ${r.reason}</p>`)}
      ${replay.notes.map((n, i) => html`<p class="mute sm" key=${i}>${n}</p>`)}`}`;
}
