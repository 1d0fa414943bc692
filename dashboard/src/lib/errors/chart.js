// From series to what a chart draws: stacking, gaps, the unfinished bucket, the words beside it.

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {(number | null)[]} values One for each time; null where there is no data, which is not zero.
 * @property {string} color Name of a theme variable, as in `--color-error`.
 * @property {'solid' | 'stripes' | 'outline'} [texture] So that colour is not the only difference.
 * @property {boolean} [dashed] For lines.
 */

/** @typedef {{ label: string, value: number, color: string }} Threshold */
/** @typedef {{ from: number, to: number | null, label: string, color: string }} Band Times in seconds. */

/**
 * Sums from the first series upwards, for stacked bars; null counts as nothing on top of others, and
 * stays null where no series has data.
 * @param {(number | null)[][]} values
 * @returns {(number | null)[][]}
 */
export function stack(values) {
	const sums = values.map((series) => [...series]);
	for (let i = 1; i < sums.length; i++) {
		for (let t = 0; t < sums[i].length; t++) {
			const below = sums[i - 1][t];
			const own = sums[i][t];
			sums[i][t] = own === null ? below : own + (below ?? 0);
		}
	}
	return sums;
}

/**
 * How series of each dimension look. Order is from the bottom of the stack upwards.
 * @type {Record<string, { key: string, color: string, texture: Series['texture'] }[]>}
 */
const LOOKS = {
	severity: [
		{ key: 'high', color: '--color-error', texture: 'solid' },
		{ key: 'medium', color: '--color-warning', texture: 'stripes' },
		{ key: 'low', color: '--color-info', texture: 'outline' }
	],
	source: [
		{ key: 'worker', color: '--color-primary', texture: 'solid' },
		{ key: 'webhook', color: '--color-success', texture: 'stripes' },
		{ key: 'system', color: '--color-warning', texture: 'outline' }
	]
};

/** For dimensions whose keys are not known beforehand; the last is for all others. */
const PALETTE = /** @type {{ color: string, texture: Series['texture'] }[]} */ ([
	{ color: '--color-primary', texture: 'solid' },
	{ color: '--color-warning', texture: 'solid' },
	{ color: '--color-error', texture: 'stripes' },
	{ color: '--color-success', texture: 'solid' },
	{ color: '--color-primary', texture: 'outline' },
	{ color: '--color-warning', texture: 'outline' },
	{ color: '--color-error', texture: 'outline' },
	{ color: '--color-success', texture: 'stripes' }
]);
/** Seconds that a healthy tracker may be behind. */
const LAG = 10;
const OTHER = { color: '--color-text-secondary', texture: /** @type {const} */ ('outline') };

/**
 * What `error_series` answered, as a chart takes it. Nothing is counted beyond `completeThrough`: such
 * buckets have no data, which differs from zero, and the one in which it lies is unfinished.
 * @param {{ since: string, step_seconds: number, dimension: string, counts: Record<string, number[]>, totals: Record<string, number> }} answer
 * @param {{ now: number, completeThrough: number | null, name?: (key: string) => string }} options
 *   Instants in milliseconds; without `completeThrough` nothing was ever counted.
 * @returns {{ times: number[], bucket: number, series: Series[], partial: number | null }}
 */
export function toChartData(answer, { now, completeThrough, name = (key) => key }) {
	const bucket = answer.step_seconds;
	const first = Date.parse(answer.since) / 1000;
	const length = Object.values(answer.counts)[0]?.length ?? 0;
	const times = Array.from({ length }, (_, i) => first + i * bucket);
	const through = completeThrough === null ? -Infinity : completeThrough / 1000;
	// A tracker that keeps up is a moment behind, which makes no bucket unknown.
	const known = times.map((time) => time <= through + LAG && time * 1000 <= now);
	const end = Math.min(through, now / 1000);
	const partial = times.findIndex((time) => time <= end && end < time + bucket);
	const looks = LOOKS[answer.dimension] ?? rank(answer);
	const series = looks
		.filter(({ key }) => answer.counts[key])
		.map(({ key, color, texture }) => ({
			label: name(key),
			values: answer.counts[key].map((count, i) => (known[i] || count > 0 ? count : null)),
			color,
			texture
		}));
	return { times, bucket, series, partial: partial === -1 ? null : partial };
}

/** @param {{ totals: Record<string, number> }} answer */
function rank({ totals }) {
	const keys = Object.keys(totals)
		.filter((key) => key !== 'other')
		.sort((a, b) => totals[b] - totals[a] || a.localeCompare(b));
	const looks = keys.map((key, i) => ({ key, ...PALETTE[i % PALETTE.length] }));
	return [...looks, { key: 'other', ...OTHER }];
}

/**
 * Stretches without any data, as pairs of first and last index.
 * @param {(number | null)[][]} values
 */
export function unknownStretches(values) {
	/** @type {[number, number][]} */
	const stretches = [];
	const length = values[0]?.length ?? 0;
	for (let t = 0; t < length; t++) {
		if (values.some((series) => series[t] !== null)) continue;
		const last = stretches.at(-1);
		if (last && last[1] === t - 1) last[1] = t;
		else stretches.push([t, t]);
	}
	return stretches;
}

/**
 * A round number at or above the highest value, thresholds included where they are near.
 * @param {(number | null)[][]} values
 * @param {Threshold[]} thresholds
 */
export function ceiling(values, thresholds = []) {
	let top = 0;
	for (const series of values)
		for (const value of series) if (value !== null && value > top) top = value;
	for (const { value } of thresholds)
		if (value <= Math.max(top * 2.5, top + 10)) top = Math.max(top, value);
	if (top === 0) return 1;
	const unit = 10 ** Math.floor(Math.log10(top * 1.06));
	return (
		[1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= top * 1.06) ??
		top
	);
}

/**
 * What a chart shows, in a sentence for its caption.
 * @param {Series[]} series
 * @param {number[]} times In seconds.
 * @param {{ noun: string, range: string, format: (value: number) => string, time: (seconds: number) => string, sum?: boolean }} words
 */
export function summary(series, times, { noun, range, format, time, sum = true }) {
	const totals = times.map((_, t) => {
		const values = series.map((one) => one.values[t]).filter((value) => value !== null);
		return values.length === 0 ? null : values.reduce((a, b) => a + b, 0);
	});
	const known = /** @type {number[]} */ (totals.filter((total) => total !== null));
	if (known.length === 0) return `No data in the ${range}.`;
	const peak = Math.max(...known);
	const total = known.reduce((a, b) => a + b, 0);
	if (peak === 0) return `No ${noun} in the ${range}.`;
	const peakAt = time(times[totals.indexOf(peak)]);
	const most = `at most ${format(peak)} at ${peakAt}`;
	return sum
		? `${format(total)} ${noun} in the ${range}, ${most}.`
		: `${capital(noun)} in the ${range}: ${most}.`;
}

/** @param {string} text */
function capital(text) {
	return text.charAt(0).toUpperCase() + text.slice(1);
}
