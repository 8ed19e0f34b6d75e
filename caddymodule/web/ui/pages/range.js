// Ranges of time: presets and any two days, kept in the URL.
import { html } from '../vendor/preact-htm.js';
import { date, isoDay, nextDay, zoneName } from '../format.js';
import { Field, Seg } from '../parts.js';

export const presets = [['24h', '24 h'], ['7d', '7 d'], ['30d', '30 d'], ['this_period', 'This period'], ['custom', 'Custom…']];

/** What the API is asked for. In the URL, "to" is the last day that counts. */
export function asked(q) {
  const tz = zoneName();
  if (q.period !== 'custom') return { period: q.period, tz };
  return { from: q.from, to: q.to ? nextDay(q.to) : '', tz };
}

export function Range({ q, set, options = presets }) {
  const pick = period => {
    const today = isoDay(Date.now());
    set(period === 'custom' ? { period, from: q.from || isoDay(Date.now() - 29 * 864e5), to: q.to || today, cursor: '' } : { period, from: '', to: '', cursor: '' });
  };
  return html`<${Seg} label="Range of time" value=${q.period} options=${options} onChange=${pick} />
    ${q.period === 'custom' && html`<span class="row days">
      <${Field} label="From" type="date" value=${q.from} max=${q.to} onChange=${e => e.target.value && set({ from: e.target.value, cursor: '' })} />
      <${Field} label="To" type="date" value=${q.to} min=${q.from} onChange=${e => e.target.value && set({ to: e.target.value, cursor: '' })} /></span>`}`;
}

/** "1 November – 22 November", with the zone that days are counted in. */
export function rangeText(from, to) {
  const last = Date.parse(to) - 1, first = Date.parse(from);
  const days = isoDay(first) === isoDay(last) ? date(first) : `${date(first)} – ${date(Math.min(last, Date.now()))}`;
  return `${days} · ${zoneName()}`;
}

/** What a range of this length is best cut into. */
export function interval(from, to) {
  const days = (Date.parse(to) - Date.parse(from)) / 864e5;
  return days <= 2 ? 'hour' : days <= 92 ? 'day' : days <= 400 ? 'week' : 'month';
}
