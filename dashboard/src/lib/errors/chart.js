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
 * The starts of all buckets of a range, in seconds.
 * @param {number} from In milliseconds.
 * @param {number} to In milliseconds, exclusive.
 * @param {number} bucket In seconds.
 */
export function bucketTimes(from, to, bucket) {
	const times = [];
	for (let time = Math.floor(from / 1000 / bucket) * bucket; time * 1000 < to; time += bucket) {
		times.push(time);
	}
	return times;
}

/**
 * One series per key out of rows that name only what is not zero. Buckets from `knownFrom` to
 * `knownTo` without a row are zero; others have no data.
 * @param {{ at: number, key: string, count: number }[]} found Times in seconds.
 * @param {number[]} times
 * @param {string[]} keys
 * @param {{ knownFrom?: number, knownTo?: number }} [known] In seconds.
 * @returns {Record<string, (number | null)[]>}
 */
export function fill(found, times, keys, { knownFrom = -Infinity, knownTo = Infinity } = {}) {
	const at = new Map(times.map((time, i) => [time, i]));
	/** @type {Record<string, (number | null)[]>} */
	const series = {};
	for (const key of keys) {
		series[key] = times.map((time) => (time >= knownFrom && time < knownTo ? 0 : null));
	}
	for (const { at: time, key, count } of found) {
		const i = at.get(time);
		if (i !== undefined && series[key]) series[key][i] = (series[key][i] ?? 0) + count;
	}
	return series;
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
