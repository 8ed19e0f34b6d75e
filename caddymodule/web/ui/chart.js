// Bars and lines as SVG: themable by CSS, with a name for screen readers, fit
// to print. Numbers become floats here, for the geometry only.
import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { geometry, num } from './format.js';

/** The width of an element, as it is now. */
function useWidth(usual) {
  const ref = useRef();
  const [width, set] = useState(usual);
  useEffect(() => {
    const look = () => ref.current && set(Math.max(240, ref.current.clientWidth));
    look();
    const watch = new ResizeObserver(look);
    watch.observe(ref.current);
    return () => watch.disconnect();
  }, []);
  return [ref, width];
}

/** The next round number. */
function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 2.5, 4, 5, 8, 10].map(k => k * power).find(v => v >= most * 0.999) || most;
}

const trim = s => (s.includes('.') ? s.replace(/\.?0+$/, '') : s);
function tick(v) {
  if (v >= 1e6) return trim((v / 1e6).toFixed(2)) + 'M';
  if (v >= 1e5) return trim((v / 1e3).toFixed(1)) + 'k';
  return num(trim(v.toFixed(v < 1 ? 4 : 2)));
}

const left = 48;

function Grid({ top, width, y }) {
  return [0, 1, 2, 3, 4].map(k => html`<g key=${k}><line class="grid" x1=${left} x2=${width} y1=${y(top * k / 4)} y2=${y(top * k / 4)} />
    <text x=${left - 8} y=${y(top * k / 4) + 4} text-anchor="end">${tick(top * k / 4)}</text></g>`);
}

/** Stacked bars. Series: {name, color: 1 to 6, data: decimal strings, one per label}. */
export function Bars({ labels, series, title }) {
  const [ref, W] = useWidth(640);
  const H = 220, bottom = 22, head = 10;
  const totals = labels.map((_, i) => series.reduce((sum, s) => sum + geometry(s.data[i]), 0));
  const top = nice(Math.max(...totals, 0)) || 1;
  const y = v => head + (H - head - bottom) * (1 - v / top);
  const w = (W - left) / labels.length;
  const every = Math.ceil(labels.length / Math.max(2, Math.floor((W - left) / 84)));
  return html`<div ref=${ref}><svg viewBox=${`0 0 ${W} ${H}`} width=${W} height=${H} role="img" aria-label=${title}>
    <${Grid} top=${top} width=${W} y=${y} />
    ${labels.map((label, i) => {
      let stacked = 0;
      return html`<g class="col" key=${i}>
        <title>${[label, ...series.filter(s => geometry(s.data[i])).map(s => `${s.name} ${num(s.data[i])}`)].join('\n')}</title>
        ${series.map(s => {
          const v = geometry(s.data[i]);
          if (v <= 0) return null;
          const high = y(stacked) - y(stacked + v);
          stacked += v;
          return html`<rect class=${`f${s.color}`} x=${left + i * w + w * 0.14} width=${w * 0.72} y=${y(stacked)} height=${Math.max(0.6, high - (high > 3 ? 1 : 0))} rx=${Math.min(3, w * 0.12, high / 2)} />`;
        })}
        ${i % every === 0 && html`<text x=${left + i * w + w / 2} y=${H - 6} text-anchor="middle">${label}</text>`}</g>`;
    })}</svg></div>`;
}

/** The balance until now, and where it goes. Points: {at: ms, v: number}; marks: {at, text}. */
export function Burn({ past, coming, marks, title }) {
  const [ref, W] = useWidth(520);
  const H = 160, bottom = 20, head = 8, right = 8;
  const all = [...past, ...coming];
  if (all.length < 2) return html`<div ref=${ref} />`;
  const from = all[0].at, to = all[all.length - 1].at;
  const top = nice(Math.max(...all.map(p => p.v))) || 1;
  const x = t => left + (W - left - right) * (t - from) / (to - from || 1);
  const y = v => head + (H - head - bottom) * (1 - v / top);
  const points = list => list.map(p => `${x(p.at).toFixed(1)},${y(p.v).toFixed(1)}`).join(' ');
  const end = past[past.length - 1];
  let free = Infinity; // from the right: the end matters more than where it is now
  const shown = marks.toReversed().filter(m => {
    if (free - x(m.at) < 62) return false;
    free = x(m.at);
    return true;
  });
  return html`<div ref=${ref}><svg viewBox=${`0 0 ${W} ${H}`} width=${W} height=${H} role="img" aria-label=${title}>
    ${[0, top / 2, top].map(v => html`<line class="grid" x1=${left} x2=${W} y1=${y(v)} y2=${y(v)} /><text x=${left - 8} y=${y(v) + 4} text-anchor="end">${tick(v)}</text>`)}
    <polygon class="area" points=${`${x(from)},${y(0)} ${points(past)} ${x(end.at)},${y(0)}`} />
    <polyline class="path" points=${points(past)} />
    ${coming.length > 0 && html`<polyline class="path dash" points=${points([end, ...coming])} />`}
    ${shown.map(m => html`<text x=${x(m.at)} y=${H - 4} text-anchor=${x(m.at) < left + 20 ? 'start' : x(m.at) > W - 30 ? 'end' : 'middle'}>${m.text}</text>`)}</svg></div>`;
}

/** A share as a thin bar, next to its number. */
export const Share = ({ percent, color = 1 }) => html`<div class="bar thin" aria-hidden="true"><i class=${`b${color}`} style=${{ width: `${Math.max(0, Math.min(100, percent || 0))}%` }} /></div>`;
