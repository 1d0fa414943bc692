// The plot behind Chart.svelte: axes, what is drawn when, and the colours of the theme.

import { unknownStretches } from './chart.js';
import { drawBands, drawBars, drawThresholds, drawUnknown } from './draw.js';
import { compact } from './format.js';

/** @typedef {import('uplot')} Plot */

/**
 * What a plot shows at present.
 * @typedef {object} View
 * @property {'bars' | 'lines'} kind
 * @property {number[]} times Starts of the buckets, in seconds since 1970.
 * @property {number} bucket Length of a bucket in seconds.
 * @property {import('./chart.js').Series[]} series
 * @property {(number | null)[][]} tops Where each series ends: stacked for bars.
 * @property {number | null} partial Index of the unfinished bucket.
 * @property {import('./chart.js').Threshold[]} thresholds
 * @property {import('./chart.js').Band[]} bands
 */

/** Pixels that somebody drags at least who means to zoom. */
const DRAGGED = 8;

/** Steps of an axis that counts. */
const INTEGERS = [1, 2, 5]
	.flatMap((step) => Array.from({ length: 12 }, (_, i) => step * 10 ** i))
	.sort((a, b) => a - b);

/**
 * A plot in an element. Kind, series and colours are those of the time at which it is made; numbers,
 * bands and thresholds are asked for whenever it is drawn.
 * @param {typeof import('uplot')} Constructor
 * @param {HTMLElement} target
 * @param {object} options
 * @param {() => View} options.view
 * @param {number} options.height
 * @param {(at: { index: number, left: number } | null) => void} options.onpoint The bucket under the
 *   pointer, and how far from the left that is.
 * @param {((range: { from: number, to: number }) => void) | undefined} options.onzoom
 */
export function makePlot(Constructor, target, { view, height, onpoint, onzoom }) {
	const { kind, series, times, tops } = view();
	const color = (/** @type {string} */ name, strength = 100) => resolve(target, name, strength);
	const text = color('--color-text-secondary');
	const strong = color('--color-text-primary');
	const line = color('--color-border-primary');
	const background = color('--color-card-bg');
	const colors = series.map((one) => color(one.color, 86));
	const font = getComputedStyle(target).fontFamily;
	const axis = { stroke: text, font: `11px ${font}`, ticks: { show: false } };
	const span = () => view().times.length * view().bucket;
	/** @type {import('uplot').Options} */
	const options = {
		width: target.clientWidth,
		height,
		padding: [14, 20, 0, 0],
		cursor: {
			x: kind === 'lines',
			y: false,
			points: { show: kind === 'lines' },
			drag: { x: Boolean(onzoom), y: false, setScale: false }
		},
		legend: { show: false },
		scales: { x: { time: true, auto: false }, y: { auto: false } },
		axes: [
			{
				...axis,
				grid: { show: false },
				space: 70,
				size: 26,
				gap: 6,
				values: (_, ticks) => ticks.map((tick) => tickLabel(tick, span()))
			},
			{
				...axis,
				grid: { stroke: line, width: 1 },
				size: (_, labels) => 14 + Math.max(2, ...(labels ?? []).map(({ length }) => length)) * 6.6,
				gap: 6,
				space: 36,
				...(kind === 'bars' ? { incrs: INTEGERS } : {}),
				values: (_, ticks) => ticks.map((tick) => compact(tick))
			}
		],
		series: [
			{},
			...series.map(({ label, dashed }, i) => ({
				label,
				stroke: colors[i],
				width: 2,
				dash: dashed ? [6, 4] : undefined,
				points: { show: false },
				spanGaps: false,
				...(kind === 'bars' ? { paths: () => null } : {})
			}))
		],
		hooks: {
			drawClear: [
				(u) => {
					const { series, bands, bucket } = view();
					const gaps = unknownStretches(series.map(({ values }) => values));
					drawUnknown(u, gaps, { bucket, color: line, background });
					drawBands(
						u,
						bands.map((band) => ({ ...band, color: color(band.color, 86) }))
					);
				}
			],
			draw: [
				(u) => {
					const { series, tops, times, bucket, partial, thresholds } = view();
					if (kind === 'bars' && times.length > 0) {
						const bars = series.map((one, i) => ({
							base: i === 0 ? tops[0].map(() => 0) : tops[i - 1],
							top: tops[i],
							color: colors[i],
							texture: one.texture ?? 'solid'
						}));
						drawBars(u, bars, { bucket, partial, background });
					}
					const lines = thresholds.map((one) => ({ ...one, color: color(one.color, 86) }));
					drawThresholds(u, lines, { text: strong, background, font });
				}
			],
			setCursor: [(u) => onpoint(pointed(u, view()))],
			setSelect: [
				(u) => {
					if (!onzoom || u.select.width < DRAGGED) return;
					const { bucket } = view();
					const from = u.posToVal(u.select.left, 'x');
					const to = u.posToVal(u.select.left + u.select.width, 'x');
					u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
					onzoom({
						from: Math.floor(from / bucket) * bucket * 1000,
						to: Math.ceil(to / bucket) * bucket * 1000
					});
				}
			]
		}
	};
	return new Constructor(options, /** @type {any} */ ([times, ...tops]), target);
}

/**
 * The colour behind a theme variable, a little nearer to the text so that it stands out.
 * @param {HTMLElement} near
 * @param {string} name
 * @param {number} strength In percent.
 */
function resolve(near, name, strength) {
	const probe = document.createElement('span');
	probe.style.color =
		strength === 100
			? `var(${name})`
			: `color-mix(in srgb, var(${name}) ${strength}%, var(--color-text-primary))`;
	// Outside of what Svelte draws, and gone at once.
	(near.parentElement ?? document.body).append(probe);
	const { color } = getComputedStyle(probe);
	probe.remove();
	return color;
}

/** The bucket under the pointer. @param {Plot} u @param {View} view */
function pointed(u, { kind, times, bucket }) {
	const left = u.cursor.left ?? -1;
	if (left < 0) return null;
	const at = u.posToVal(left, 'x');
	const index =
		kind === 'bars'
			? Math.min(times.length - 1, Math.floor((at - times[0]) / bucket))
			: (u.cursor.idx ?? -1);
	return index >= 0 ? { index, left: left + u.bbox.left / devicePixelRatio } : null;
}

/**
 * What stands below a tick of the time axis.
 * @param {number} tick In seconds since 1970.
 * @param {number} span How many seconds the axis covers.
 */
export function tickLabel(tick, span) {
	const date = new Date(tick * 1000);
	const time = date.toLocaleTimeString('en-GB', { timeStyle: 'short' });
	if (span <= 36 * 3600) return time;
	const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
	const midnight = date.getHours() === 0 && date.getMinutes() === 0;
	return midnight || span > 4 * 86_400 ? day : `${day} ${time}`;
}
