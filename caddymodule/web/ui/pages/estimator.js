// What a mix of work would cost, and which plan covers it. The mix is in the URL.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { money, num } from '../format.js';
import { post } from '../api.js';
import { useQuery } from '../router.js';
import { Card, Empty, Failed, Head, Loading, Pill, Table, View, useData } from '../parts.js';

/** "image~~30!chat~gpt-5.4~100~1.5": operation, model, times a day, credits of one. */
const write = lines => lines.map(l => [l.operation, l.model, l.per_day, l.credits].map(encodeURIComponent).join('~')).join('!');
const read = text => text.split('!').filter(Boolean).map(part => {
  const [operation, model, perDay, credits] = part.split('~').map(decodeURIComponent);
  return { operation, model, per_day: perDay || '', credits: credits || '' };
});

export default function Estimator() {
  const prices = useData('v1/prices');
  const [q, set] = useQuery({ mix: '', days: '22', buffer: '25' });
  const lines = read(q.mix);
  const change = next => set({ mix: write(next) }, { replace: true });
  return html`<${View} of=${prices}>${v => html`
    <${Head} title="Estimator" sub="Cost of a month" />
    <div class="cards"><${Card} title="What you do" span="7"><${Lines} lines=${lines} prices=${v.prices} change=${change} />
        <div class="row gap"><label class="field"><span>Days</span><input type="number" min="1" max="3660" value=${q.days} onChange=${e => set({ days: e.target.value || '22' }, { replace: true })} /></label>
          <label class="field"><span>Buffer in %</span><input type="number" min="0" max="1000" value=${q.buffer} onChange=${e => set({ buffer: e.target.value || '0' }, { replace: true })} /></label></div><//>
      <${Card} title="What it costs" span="5"><${Answer} lines=${lines} days=${q.days} buffer=${q.buffer} unit=${v.unit} /><//></div>`}<//>`;
}

function Lines({ lines, prices, change }) {
  const priced = prices.filter(p => p.credits !== '0');
  const at = i => part => change(lines.map((l, k) => (k === i ? { ...l, ...part } : l)));
  const single = l => prices.find(p => p.operation === l.operation && (p.model || '') === l.model && p.credits);
  const counts = p => p && p.unit !== 'request' && (!p.standard || p.standard === p.credits); // else whole requests at standard settings
  return html`${!lines.length && html`<${Empty}>Add operations, and how often they run per day.<//>`}
    ${lines.map((l, i) => html`<div class="row line" key=${i}>
      <label><span class="hidden">Operation</span><select value=${`${l.operation}~${l.model}`} onChange=${e => {
        const [operation, model] = e.target.value.split('~');
        at(i)({ operation, model, credits: '' });
      }}>${priced.map(p => html`<option key=${p.operation + p.model} value=${`${p.operation}~${p.model || ''}`} selected=${p.operation === l.operation && (p.model || '') === l.model}>${p.name}${p.model ? ` · ${p.model_name || p.model}` : ''}</option>`)}</select></label>
      <label><input class="short" type="number" min="0" step="any" value=${l.per_day} onChange=${e => at(i)({ per_day: e.target.value || '0' })} /> ${(counts(single(l)) && `${single(l).unit}s`) || 'times'} a day</label>
      ${!single(l) && html`<label><input class="short" type="number" min="0" step="any" placeholder="typical" value=${l.credits} onChange=${e => at(i)({ credits: e.target.value })} /> each</label>`}
      <button class="icon" aria-label="Remove this line" onClick=${() => change(lines.filter((_, k) => k !== i))}>✕</button></div>`)}
    <p><button disabled=${!priced.length || lines.length >= 100} onClick=${() => change([...lines, { operation: priced[0].operation, model: priced[0].model || '', per_day: '10', credits: '' }])}>Add a line</button></p>`;
}

function Answer({ lines, days, buffer, unit }) {
  const [state, set] = useState({});
  const body = JSON.stringify({ mix: lines.map(({ credits, ...l }) => ({ ...l, per_day: l.per_day || '0', ...(credits ? { credits } : {}) })), days: Number(days), buffer: `${buffer || 0}%` });
  useEffect(() => {
    if (!lines.length) return undefined;
    const stop = new AbortController();
    const wait = setTimeout(() => post('v1/estimate', JSON.parse(body), { signal: stop.signal }).then(data => set({ data }), error => error.name !== 'AbortError' && set({ error })), 150);
    return () => {
      clearTimeout(wait);
      stop.abort();
    };
  }, [body]);
  if (!lines.length) return html`<${Empty}>Nothing yet.<//>`;
  if (state.error) return html`<${Failed} error=${state.error} />`;
  if (!state.data) return html`<${Loading} />`;
  const a = state.data;
  return html`<div aria-live="polite"><div class="big">${num(a.with_buffer)} <small>${unit.plural}${a.worth && ` ≈ ${money(a.worth)}`}</small></div>
    <p class="mute sm">${num(a.sum)} and ${buffer} % on top</p>
    <${Table} label="Lines" heads=${['Operation', ['Times', 'n'], ['Each', 'n'], ['Credits', 'n']]}>${a.lines.map((l, i) => html`<tr key=${i}><td>${l.name}${l.model && html` <span class="mute">${l.model}</span>`}${l.typical && html` <span class="mute">typical</span>`}</td>
      <td class="n">${num(l.times)}</td><td class="n">${num(l.each)}</td><td class="n">${num(l.credits)}</td></tr>`)}<//>
    <p class="gap">${a.affordable ? html`<${Pill} kind="ok">covered<//> Your current plan is sufficient.` : html`<${Pill} kind="warn">not covered<//> It is more than your current plan includes.`}</p>
    ${a.plan ? html`<p>The smallest sufficient plan: <strong>${a.plan.name}</strong>${a.plan.price && `, ${a.plan.price}`} <span class="mute">(${num(a.plan.credits)} a month)</span></p>` : html`<p>No plan is sufficient. Packs can cover the rest.</p>`}</div>`;
}
