// Canvas drawing for Chart.svelte: stacked bars with textures, bands, thresholds. Colours are
// resolved by the caller, because a canvas does not know custom properties.

/** @typedef {import('uplot')} Plot */

/**
 * @typedef {object} Bar One series of a stack, as drawn.
 * @property {(number | null)[]} base Where each bar begins.
 * @property {(number | null)[]} top Where it ends.
 * @property {string} color
 * @property {'solid' | 'stripes' | 'outline'} texture
 */

/**
 * Stacked bars. The bucket at `partial` is unfinished: dashed outline, hardly filled.
 * @param {Plot} plot
 * @param {Bar[]} bars
 * @param {{ bucket: number, partial: number | null, background: string }} options `bucket` in seconds.
 */
export function drawBars(plot, bars, { bucket, partial, background }) {
	const { ctx } = plot;
	const times = plot.data[0];
	const ratio = devicePixelRatio;
	const slot = Math.abs(
		plot.valToPos(times[0] + bucket, 'x', true) - plot.valToPos(times[0], 'x', true)
	);
	const gap = slot > 5 * ratio ? Math.min(3 * ratio, slot * 0.18) : slot > 2.5 * ratio ? ratio : 0;
	ctx.save();
	clip(plot);
	for (const bar of bars) {
		const fill = bar.texture === 'stripes' ? stripes(ctx, bar.color, background) : bar.color;
		for (let i = 0; i < times.length; i++) {
			const top = bar.top[i];
			const base = bar.base[i] ?? 0;
			if (top === null || top <= base) continue;
			const x = Math.round(plot.valToPos(times[i], 'x', true) + gap / 2);
			const right = Math.round(plot.valToPos(times[i] + bucket, 'x', true) - gap / 2);
			const width = Math.max(ratio, right - x);
			const y = Math.round(plot.valToPos(top, 'y', true));
			const height = Math.max(ratio, Math.round(plot.valToPos(base, 'y', true)) - y);
			// Bands must not shine through.
			ctx.fillStyle = background;
			ctx.fillRect(x, y, width, height);
			if (i === partial) {
				ctx.globalAlpha = 0.3;
				ctx.fillStyle = bar.color;
				ctx.fillRect(x, y, width, height);
				ctx.globalAlpha = 1;
				ctx.strokeStyle = bar.color;
				ctx.lineWidth = 1.5 * ratio;
				ctx.setLineDash([3 * ratio, 2.5 * ratio]);
				ctx.strokeRect(
					x + ratio,
					y + ratio,
					Math.max(1, width - 2 * ratio),
					Math.max(1, height - ratio)
				);
				ctx.setLineDash([]);
			} else if (bar.texture === 'outline' && width > 4 * ratio && height > 3 * ratio) {
				ctx.globalAlpha = 0.35;
				ctx.fillStyle = bar.color;
				ctx.fillRect(x, y, width, height);
				ctx.globalAlpha = 1;
				ctx.strokeStyle = bar.color;
				ctx.lineWidth = ratio;
				ctx.strokeRect(x + ratio / 2, y + ratio / 2, width - ratio, height - ratio);
			} else {
				ctx.fillStyle = fill;
				ctx.fillRect(x, y, width, height);
			}
		}
	}
	ctx.restore();
}

/**
 * Stretches of time in which something was wrong: one tint wherever at least one was, and a bar for
 * each level above the plot.
 * @param {Plot} plot
 * @param {{ from: number, to: number | null, color: string }[]} bands Times in seconds; null is now.
 */
export function drawBands(plot, bands) {
	const { ctx, bbox } = plot;
	const ratio = devicePixelRatio;
	const edges = bands.map(({ from, to, color }) => {
		const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
		const end = to === null ? bbox.left + bbox.width : plot.valToPos(to, 'x', true);
		const right = Math.min(bbox.left + bbox.width, Math.max(left + 2 * ratio, end));
		return { left, right, color };
	});
	const colors = [...new Set(bands.map(({ color }) => color))];
	ctx.save();
	for (const [lane, color] of colors.entries()) {
		ctx.fillStyle = color;
		for (const [left, right] of union(edges.filter((edge) => edge.color === color))) {
			ctx.globalAlpha = 0.09;
			ctx.fillRect(left, bbox.top, right - left, bbox.height);
			ctx.globalAlpha = 1;
			ctx.fillRect(left, bbox.top - (4 + lane * 5) * ratio, right - left, 3 * ratio);
		}
	}
	ctx.restore();
}

/**
 * Overlapping stretches joined.
 * @param {{ left: number, right: number }[]} stretches
 * @returns {[number, number][]}
 */
export function union(stretches) {
	/** @type {[number, number][]} */
	const joined = [];
	for (const { left, right } of [...stretches].sort((a, b) => a.left - b.left)) {
		const last = joined.at(-1);
		if (last && left <= last[1]) last[1] = Math.max(last[1], right);
		else if (right > left) joined.push([left, right]);
	}
	return joined;
}

/**
 * Buckets of which nothing is known: grey stripes, so that nobody takes them for zero.
 * @param {Plot} plot
 * @param {[number, number][]} stretches Pairs of first and last index.
 * @param {{ bucket: number, color: string, background: string }} look
 */
export function drawUnknown(plot, stretches, { bucket, color, background }) {
	const { ctx, bbox } = plot;
	ctx.save();
	clip(plot);
	ctx.globalAlpha = 0.35;
	ctx.fillStyle = stripes(ctx, color, background);
	for (const [first, last] of stretches) {
		const left = plot.valToPos(plot.data[0][first], 'x', true);
		const right = plot.valToPos(plot.data[0][last] + bucket, 'x', true);
		ctx.fillRect(left, bbox.top, right - left, bbox.height);
	}
	ctx.restore();
}

/**
 * Dashed lines with their names at the right edge.
 * @param {Plot} plot
 * @param {{ label: string, value: number, color: string }[]} thresholds
 * @param {{ text: string, background: string, font: string }} look
 */
export function drawThresholds(plot, thresholds, { text, background, font }) {
	const { ctx, bbox } = plot;
	const ratio = devicePixelRatio;
	ctx.save();
	ctx.font = `${11 * ratio}px ${font}`;
	ctx.textBaseline = 'middle';
	ctx.textAlign = 'left';
	for (const { label, value, color } of thresholds) {
		const y = Math.round(plot.valToPos(value, 'y', true));
		if (y < bbox.top || y > bbox.top + bbox.height) continue;
		ctx.strokeStyle = color;
		ctx.lineWidth = 2 * ratio;
		ctx.setLineDash([6 * ratio, 4 * ratio]);
		ctx.beginPath();
		ctx.moveTo(bbox.left, y);
		ctx.lineTo(bbox.left + bbox.width, y);
		ctx.stroke();
		ctx.setLineDash([]);
		const width = ctx.measureText(label).width + 8 * ratio;
		const left = bbox.left + 6 * ratio;
		ctx.fillStyle = background;
		ctx.fillRect(left, y - 8 * ratio, width, 16 * ratio);
		ctx.fillStyle = text;
		ctx.fillText(label, left + 4 * ratio, y);
	}
	ctx.restore();
}

/** @param {Plot} plot */
function clip(plot) {
	const { left, top, width, height } = plot.bbox;
	plot.ctx.beginPath();
	plot.ctx.rect(left, top, width, height);
	plot.ctx.clip();
}

/**
 * Diagonal stripes of a colour on the background.
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} color
 * @param {string} background
 */
function stripes(ctx, color, background) {
	const size = Math.round(6 * devicePixelRatio);
	const tile = document.createElement('canvas');
	tile.width = tile.height = size;
	const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext('2d'));
	pen.fillStyle = color;
	pen.fillRect(0, 0, size, size);
	pen.strokeStyle = background;
	pen.globalAlpha = 0.4;
	pen.lineWidth = size / 4;
	pen.beginPath();
	for (const shift of [-size, 0, size]) {
		pen.moveTo(shift, size);
		pen.lineTo(shift + size, 0);
	}
	pen.stroke();
	return ctx.createPattern(tile, 'repeat') ?? color;
}
