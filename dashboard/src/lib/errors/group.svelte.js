// One group of errors: what its page shows and what may be done with it.

import { ApiError, rows, rpc, supabase } from './api.js';
import { toChartData } from './chart.js';
import { millis } from './format.js';
import { chartRange, isLive } from './range.js';
import { Resource } from './resource.svelte.js';
import { throttle } from './throttle.js';

const EVERY = 3_000;
const SAMPLES = 20;
/** Buckets below an hour are read from the errors themselves, over at most this many seconds. */
const FINE_UP_TO = 48 * 3600;

export class Group {
	/** @type {import('./state.svelte.js').ErrorsState} */
	#errors;
	/** @type {() => string} */
	#fingerprint;

	/** @param {import('./state.svelte.js').ErrorsState} errors @param {() => string} fingerprint */
	constructor(errors, fingerprint) {
		this.#errors = errors;
		this.#fingerprint = fingerprint;
		this.detail = new Resource((signal) => {
			const { since, until } = this.#range();
			return rpc('error_group_detail', { fingerprint: fingerprint(), since, until }, { signal });
		});
		this.series = new Resource((signal) => {
			const { since, until, step_seconds } = this.#range();
			const filters = this.#filters();
			return rpc(
				'error_series',
				{ since, until, step_seconds, filters, dimension: 'severity' },
				{ signal }
			);
		});
		this.samples = new Resource((signal) => {
			const { since, until } = this.#range();
			const filters = this.#filters();
			return rpc('error_history', { since, until, filters, page_size: SAMPLES }, { signal });
		});
	}

	/** The group in each project where the caller sees it; one, where the URL names a project. */
	groups = $derived.by(() => {
		/** @type {any[]} */
		const all = this.detail.data?.groups ?? [];
		const { project } = this.#errors.filters;
		const own = all.filter((one) => project === null || (one.project_id ?? 'none') === project);
		return own.length > 0 ? own : all;
	});

	trend = $derived.by(() => {
		const answer = this.series.data;
		if (!answer) return null;
		const through = answer.complete_through ?? this.#errors.tracker.complete_through;
		return toChartData(answer, { now: this.#errors.serverNow(), completeThrough: millis(through) });
	});

	load() {
		this.detail.load();
		this.series.load();
		this.samples.load();
	}

	start() {
		const refresh = throttle(() => {
			if (!isLive(this.#errors.range)) return;
			this.detail.refresh();
			this.series.refresh();
			this.samples.refresh();
		}, EVERY);
		const stops = [
			this.#errors.live.on('error_rates_live', refresh),
			this.#errors.live.onResync(refresh)
		];
		const timer = setInterval(refresh, 15_000);
		return () => {
			clearInterval(timer);
			refresh.stop();
			for (const stop of stops) stop();
			for (const one of [this.detail, this.series, this.samples]) one.stop();
		};
	}

	/**
	 * Sets the status of all groups shown.
	 * @param {'open' | 'resolved' | 'ignored'} status
	 */
	async setStatus(status) {
		const changed = await rows(
			supabase()
				.from('error_groups')
				.update({ status })
				.in(
					'group_id',
					this.groups.map((group) => group.group_id)
				)
				.select('group_id')
		);
		// Row-level security does not refuse an update; it finds nothing to change.
		if (changed.length === 0) {
			throw new ApiError('You may not change this group: that needs the role responder.', {
				code: '42501'
			});
		}
		await this.detail.load();
	}

	#filters() {
		const { project } = this.#errors.filters;
		return { fingerprint: this.#fingerprint(), ...(project ? { project } : {}) };
	}

	#range() {
		const { from, to, bucket } = chartRange(this.#errors.range, this.#errors.serverNow());
		const step = this.#errors.range.seconds > FINE_UP_TO ? Math.max(bucket, 3600) : bucket;
		return {
			since: new Date(from).toISOString(),
			until: new Date(to).toISOString(),
			step_seconds: step
		};
	}
}

/**
 * The longest part of a message that is the same in all messages of its group: numbers, ids, quoted
 * and masked places differ. Empty where nothing telling is left.
 * @param {string} title
 */
export function stablePart(title) {
	const parts = title.split(/\[masked\]|"[^"]*"|'[^']*'|[0-9a-f]{8}-[0-9a-f-]{27}|\S*\d\S*|…/i);
	const longest = parts.map((part) => part.trim()).sort((a, b) => b.length - a.length)[0] ?? '';
	return longest.length >= 6 ? longest.slice(0, 200) : '';
}
