// Time ranges: which there are, how the URL names them, and which bucket length suits each.

/**
 * A range as the URL names it: either the last N seconds, which moves with the clock, or two fixed
 * instants.
 * @typedef {object} Range
 * @property {string} id One of RANGES, or `custom`.
 * @property {number} seconds Length.
 * @property {number | null} from Start in milliseconds since 1970, where the range is fixed.
 * @property {number | null} to End in milliseconds since 1970, exclusive, where the range is fixed.
 */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** The ranges that the picker offers. */
export const RANGES = [
	{ id: '15m', label: '15 m', name: 'last 15 minutes', seconds: 15 * MINUTE },
	{ id: '1h', label: '1 h', name: 'last hour', seconds: HOUR },
	{ id: '6h', label: '6 h', name: 'last 6 hours', seconds: 6 * HOUR },
	{ id: '24h', label: '24 h', name: 'last 24 hours', seconds: DAY },
	{ id: '7d', label: '7 d', name: 'last 7 days', seconds: 7 * DAY },
	{ id: '30d', label: '30 d', name: 'last 30 days', seconds: 30 * DAY }
];

export const DEFAULT_RANGE = '1h';
/** A fixed range is at most this long, in seconds. */
export const LONGEST = 366 * DAY;

/**
 * The range that a URL names; the default one where it names none, or nonsense.
 * @param {URLSearchParams} params
 * @param {string} [fallback]
 * @returns {Range}
 */
export function parseRange(params, fallback = DEFAULT_RANGE) {
	const from = instant(params.get('from'));
	const to = instant(params.get('to'));
	if (from !== null && to !== null && to > from) {
		const seconds = Math.min((to - from) / 1000, LONGEST);
		return { id: 'custom', seconds, from: to - seconds * 1000, to };
	}
	const wished = params.get('range') ?? fallback;
	const known =
		RANGES.find((range) => range.id === wished) ??
		/** @type {typeof RANGES[number]} */ (RANGES.find((range) => range.id === fallback));
	return { id: known.id, seconds: known.seconds, from: null, to: null };
}

/**
 * Writes a range into a URL's parameters; the default range leaves none.
 * @param {URLSearchParams} params
 * @param {{ id?: string, from?: number | null, to?: number | null }} range
 */
export function writeRange(params, range) {
	for (const name of ['range', 'from', 'to']) params.delete(name);
	if (range.from != null && range.to != null) {
		params.set('from', new Date(range.from).toISOString());
		params.set('to', new Date(range.to).toISOString());
	} else if (range.id && range.id !== DEFAULT_RANGE) {
		params.set('range', range.id);
	}
}

/**
 * Start and end in milliseconds; a moving range ends now.
 * @param {Range} range
 * @param {number} now
 */
export function resolveRange(range, now) {
	const to = range.to ?? now;
	return { from: range.from ?? to - range.seconds * 1000, to };
}

/** Whether new errors can fall into the range. @param {Range} range */
export function isLive(range) {
	return range.to === null;
}

/**
 * Length of a chart's buckets in seconds: at most 170 of them, and none shorter than the minute that
 * the rollups have.
 * @param {number} seconds
 */
export function bucketSeconds(seconds) {
	const steps = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY];
	return steps.find((step) => seconds / step <= 170) ?? 7 * DAY;
}

/**
 * Start and end in milliseconds for a chart: a moving range begins with a whole bucket and ends with
 * the present, unfinished one; a fixed range is widened to whole buckets.
 * @param {Range} range
 * @param {number} now
 * @returns {{ from: number, to: number, bucket: number }} `bucket` in seconds.
 */
export function chartRange(range, now) {
	const bucket = bucketSeconds(range.seconds);
	const size = bucket * 1000;
	const { from, to } = resolveRange(range, now);
	if (range.to === null) {
		const last = Math.floor(now / size) * size;
		return { from: last + size - Math.ceil((to - from) / size) * size, to: now, bucket };
	}
	return { from: Math.floor(from / size) * size, to: Math.ceil(to / size) * size, bucket };
}

/**
 * The range in words, as in `last hour`.
 * @param {Range} range
 */
export function rangeName(range) {
	const known = RANGES.find(({ id }) => id === range.id);
	if (known) return known.name;
	const { from, to } = resolveRange(range, 0);
	const format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
	return `${format.format(from)} to ${format.format(to)}`;
}

/** @param {string | null} text */
function instant(text) {
	if (!text) return null;
	const at = /^\d{10,13}$/.test(text) ? Number(text) : Date.parse(text);
	return Number.isFinite(at) ? at : null;
}
