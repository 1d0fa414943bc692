// Numbers, times and durations as people read them. Times are in the browser's zone.

const LOCALE = 'en-GB';
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
const clockFormat = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'medium' });
const minuteFormat = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'short' });
const dayFormat = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short' });
const fullFormat = new Intl.DateTimeFormat(LOCALE, {
	day: 'numeric',
	month: 'short',
	year: 'numeric',
	hour: '2-digit',
	minute: '2-digit',
	second: '2-digit',
	timeZoneName: 'short'
});

/** What stands where there is no number, which differs from zero. */
export const NONE = '–';

/** @typedef {string | number | Date | null | undefined} Instant */

/** As in `12,345`. @param {number | null | undefined} value */
export function count(value) {
	return value == null || !Number.isFinite(value) ? NONE : whole.format(value);
}

/** As in `12.3K`, from ten thousand on. @param {number | null | undefined} value */
export function compact(value) {
	if (value == null || !Number.isFinite(value)) return NONE;
	return Math.abs(value) < 10_000 ? decimal(value) : short.format(value);
}

/** At most one decimal, and two below one. @param {number | null | undefined} value */
export function decimal(value) {
	if (value == null || !Number.isFinite(value)) return NONE;
	const digits = Math.abs(value) < 1 ? 2 : Math.abs(value) < 100 ? 1 : 0;
	return value.toLocaleString(LOCALE, { maximumFractionDigits: digits });
}

/** A ratio as in `4.2 %`. @param {number | null | undefined} ratio */
export function percent(ratio) {
	if (ratio == null || !Number.isFinite(ratio)) return NONE;
	const value = ratio * 100;
	const digits = value !== 0 && Math.abs(value) < 10 ? 1 : 0;
	return `${value.toLocaleString(LOCALE, { maximumFractionDigits: digits })} %`;
}

/**
 * The change from one value to another, as in `+12 %`; from zero there is no percentage.
 * @param {number | null | undefined} now
 * @param {number | null | undefined} before
 */
export function change(now, before) {
	if (now == null || before == null) return NONE;
	if (before === 0) return now === 0 ? '±0 %' : 'from 0';
	const ratio = (now - before) / before;
	if (Math.abs(ratio) < 0.005) return '±0 %';
	if (ratio >= 9.995) return `×${whole.format(now / before)}`;
	return `${ratio > 0 ? '+' : '−'}${percent(Math.abs(ratio))}`;
}

/** A duration in its two largest units, as in `3 h 20 min`. @param {number | null | undefined} seconds */
export function duration(seconds) {
	if (seconds == null || !Number.isFinite(seconds)) return NONE;
	const total = Math.max(0, seconds);
	if (total < 1) return `${Math.round(total * 1000)} ms`;
	if (total < 60) return `${total < 10 ? decimal(total) : Math.round(total)} s`;
	const units = /** @type {[string, number][]} */ ([
		['d', 86_400],
		['h', 3600],
		['min', 60],
		['s', 1]
	]);
	const first = units.findIndex(([, length]) => total >= length);
	const [name, length] = units[first];
	const most = Math.floor(total / length);
	const next = units[first + 1];
	const rest = next ? Math.floor((total % length) / next[1]) : 0;
	return rest > 0 ? `${most} ${name} ${rest} ${next[0]}` : `${most} ${name}`;
}

/**
 * How long ago, as in `12 s ago`.
 * @param {Instant} at
 * @param {number} now
 */
export function ago(at, now) {
	const time = millis(at);
	if (time === null) return NONE;
	const seconds = Math.round((now - time) / 1000);
	if (seconds < -1) return `in ${duration(-seconds)}`;
	if (seconds < 2) return 'just now';
	const units = /** @type {[string, number][]} */ ([
		['d', 86_400],
		['h', 3600],
		['min', 60],
		['s', 1]
	]);
	const [name, length] = units.find(([, size]) => seconds >= size) ?? units[3];
	return `${Math.floor(seconds / length)} ${name} ago`;
}

/** As in `12:03:05`. @param {Instant} at */
export function clock(at) {
	const time = millis(at);
	return time === null ? NONE : clockFormat.format(time);
}

/**
 * A short label for a time axis or table: the day where the range spans days.
 * @param {Instant} at
 * @param {number} spanSeconds
 */
export function axisTime(at, spanSeconds) {
	const time = millis(at);
	if (time === null) return NONE;
	const minutes = minuteFormat.format(time);
	return spanSeconds > 36 * 3600 ? `${dayFormat.format(time)}, ${minutes}` : minutes;
}

/** As in `22 Nov 2026, 12:03:05 UTC`. @param {Instant} at */
export function dateTime(at) {
	const time = millis(at);
	return time === null ? NONE : fullFormat.format(time);
}

/** ISO 8601 for `datetime` attributes. @param {Instant} at */
export function iso(at) {
	const time = millis(at);
	return time === null ? '' : new Date(time).toISOString();
}

/** Milliseconds since 1970, or null. @param {Instant} at */
export function millis(at) {
	if (at == null || at === '') return null;
	const time = at instanceof Date ? at.getTime() : typeof at === 'number' ? at : Date.parse(at);
	return Number.isFinite(time) ? time : null;
}

/** `1 error`, `2 errors`. @param {number} n @param {string} one @param {string} [many] */
export function plural(n, one, many = `${one}s`) {
	return `${count(n)} ${n === 1 ? one : many}`;
}
