// Numbers and times for people. Amounts come as exact decimal strings and stay
// strings or BigInts: nothing that is shown has been a float.

let zone = 'UTC';
export const setZone = z => { zone = z; };
export const zoneName = () => zone;

/** A decimal string as digits and their scale: "1.25" → {n: 125n, scale: 2}. */
function parse(text) {
  const m = /^([-−+]?)(\d+)(?:\.(\d+))?$/.exec(String(text ?? '').trim());
  if (!m) return null;
  const digits = BigInt(m[2] + (m[3] || ''));
  return { n: m[1] && m[1] !== '+' ? -digits : digits, scale: (m[3] || '').length };
}

const ten = k => 10n ** BigInt(k);
const aligned = (a, b) => {
  const scale = Math.max(a.scale, b.scale);
  return [a.n * ten(scale - a.scale), b.n * ten(scale - b.scale), scale];
};

function write(n, scale) {
  const digits = (n < 0n ? -n : n).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const rest = scale ? digits.slice(-scale).replace(/0+$/, '') : '';
  return (n < 0n ? '-' : '') + whole + (rest ? '.' + rest : '');
}

function combine(a, b, fn) {
  const x = parse(a), y = parse(b);
  if (!x || !y) return '';
  const [m, n, scale] = aligned(x, y);
  return write(fn(m, n), scale);
}
export const add = (a, b) => combine(a, b, (m, n) => m + n);
export const sub = (a, b) => combine(a, b, (m, n) => m - n);

/** -1, 0 or 1. */
export function cmp(a, b) {
  const x = parse(a), y = parse(b);
  if (!x || !y) return 0;
  const [m, n] = aligned(x, y);
  return m < n ? -1 : m > n ? 1 : 0;
}
export const zero = s => cmp(s, '0') === 0;

/** Half up, at most this many places. */
export function round(text, places) {
  const x = parse(text);
  if (!x || x.scale <= places) return String(text ?? '');
  const unit = ten(x.scale - places), size = x.n < 0n ? -x.n : x.n;
  const up = (size + unit / 2n) / unit;
  return write(x.n < 0n ? -up : up, places);
}

/** A mean or a projection: as many digits as it is worth. */
export function approx(text) {
  const x = parse(text);
  if (!x) return String(text ?? '');
  const whole = (x.n < 0n ? -x.n : x.n) / ten(x.scale);
  return num(round(text, whole >= 100n ? 0 : whole >= 10n ? 1 : whole >= 1n ? 2 : 6));
}

/** a ÷ n, rounded to the places of a. */
export function divide(a, n, places) {
  const x = parse(a);
  if (!x || !n) return '';
  const scale = Math.max(x.scale, places);
  return round(write(x.n * ten(scale - x.scale + 3) / BigInt(n), scale + 3), places);
}

/** part ÷ of in whole percent, or null. */
export function percent(part, of) {
  const x = parse(part), y = parse(of);
  if (!x || !y || y.n === 0n) return null;
  const [m, n] = aligned(x, y);
  return Number((m * 200n + (m < 0n ? -n : n)) / (2n * n));
}

/** Digits in groups: "1234567.5" → "1,234,567.5". What is no number stays. */
export function num(text) {
  const s = String(text ?? '');
  const m = /^([-−+]?)(\d+)(\.\d+)?$/.exec(s);
  if (!m) return s;
  return (m[1] === '-' ? '−' : m[1]) + m[2].replace(/\B(?=(\d{3})+$)/g, ',') + (m[3] || '');
}

/** With its sign: what was taken and what was given. */
export const signed = s => (zero(s) ? '0' : num(/^[-−]/.test(s) ? s : '+' + s));
export const negative = s => (zero(s) ? '0' : num('-' + String(s).replace(/^[-−]/, '')));

/** "7.41909 USD" → "7.42 USD". */
export function money(text) {
  const [amount, currency] = String(text ?? '').split(' ');
  if (!currency) return num(amount);
  const rounded = cmp(amount.replace(/^-/, ''), '0.01') < 0 ? amount : round(amount, 2);
  const [whole, cents = ''] = rounded.split('.');
  return num(whole) + '.' + cents.padEnd(2, '0') + ' ' + currency;
}

/** For the geometry of bars and lines only. */
export const geometry = s => Number(s) || 0;

export const plural = (n, one, many = one + 's') => `${num(n)} ${Number(n) === 1 ? one : many}`;
export const title = s => (s ? s[0].toUpperCase() + s.slice(1).replaceAll('_', ' ') : '');

const mass = /put|write|1h|^reasoning|^citation/;
/** "3 images", "1 second", "12 input". */
export const counted = (n, unit) => `${num(n)} ${cmp(n, '1') === 0 || mass.test(unit) || /s$/.test(unit) ? unit : unit + 's'}`;

/** {input: "12", image: "3"} → "12 input · 3 image". */
export const quantities = q => Object.entries(q || {}).map(([unit, n]) => counted(n, unit.replaceAll('_', ' '))).join(' · ');

const tokens = /(^|_)(input|output)$|^(cache_write|cache_write_1h|reasoning|citation)$/;
/** The same in short, with all kinds of tokens in one: "4,271 tokens". */
export function brief(q) {
  let sum = '0';
  const rest = {};
  for (const [unit, n] of Object.entries(q || {})) {
    if (tokens.test(unit)) sum = add(sum, n);
    else rest[unit] = n;
  }
  return [quantities(rest), !zero(sum) && `${num(sum)} tokens`].filter(Boolean).join(' · ');
}

const formats = new Map();
function format(options, t) {
  const key = zone + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options }));
  return formats.get(key).format(new Date(t));
}
const year = t => format({ year: 'numeric' }, t);
const thisYear = t => year(t) === year(Date.now());

export const day = t => format({ day: 'numeric', month: 'short', ...(thisYear(t) ? {} : { year: 'numeric' }) }, t);
export const date = t => format({ day: 'numeric', month: 'long', ...(thisYear(t) ? {} : { year: 'numeric' }) }, t);
export const clock = t => format({ hour: '2-digit', minute: '2-digit' }, t);
export const stamp = t => `${day(t)} ${clock(t)}`;
export const month = t => format({ month: 'short', year: 'numeric' }, t);
export const full = t => `${format({ day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }, t)} ${zone}`;
/** The calendar day as inputs and the API write it. */
export const isoDay = t => new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(new Date(t));
export const nextDay = iso => new Date(Date.parse(iso + 'T00:00:00Z') + 864e5).toISOString().slice(0, 10);

/** "in 20 days", "today". */
export function away(t) {
  const days = Math.round((Date.parse(isoDay(t)) - Date.parse(isoDay(Date.now()))) / 864e5);
  if (days === 0) return 'today';
  return days > 0 ? `in ${plural(days, 'day')}` : `${plural(-days, 'day')} ago`;
}
export const daysBetween = (a, b) => Math.round((Date.parse(isoDay(b)) - Date.parse(isoDay(a))) / 864e5);
export function age(t) {
  const s = Math.max(0, Math.round((Date.now() - Date.parse(t)) / 1000));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

/** A link that may be followed: http, https, mail, or a path of this host. */
export const link = url => (/^(https?:\/\/|mailto:|\/(?!\/))/i.test(url || '') ? url : undefined);
