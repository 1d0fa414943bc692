// What the overview shows, and when it asks anew.

import { rows, rpc, supabase } from './api.js';
import { toChartData } from './chart.js';
import { Feed } from './feed.svelte.js';
import { countFilters, toQuery } from './filters.js';
import { millis } from './format.js';
import { chartRange, isLive } from './range.js';
import { Resource } from './resource.svelte.js';
import { throttle } from './throttle.js';

/** @typedef {import('./state.svelte.js').ErrorsState} ErrorsState */
/** @typedef {'severity' | 'source' | 'type'} Dimension */

/** Tiles and trend follow live rows at most this often, lists less often, in milliseconds. */
const NUMBERS_EVERY = 1_500;
const LISTS_EVERY = 5_000;
/** Workflows of which the worst are shown: those with most errors. */
const WORKFLOWS = 50;
/** Incidents drawn as bands. */
const MAX_BANDS = 50;

export class Overview {
	/** @type {Dimension} */
	dimension = $state('severity');
	/** What the last minute brought, by project, as the daemon tells it. @type {Record<string, { total: number, asOf: number }>} */
	#live = $state.raw({});

	/** @type {ErrorsState} */
	#errors;

	/** @param {ErrorsState} errors */
	constructor(errors) {
		this.#errors = errors;
		this.feed = new Feed(() => errors.filters);
		this.tiles = new Resource((signal) => rpc('error_overview', this.#question(), { signal }));
		this.series = new Resource((signal) => this.#readSeries(signal));
		this.groups = new Resource((signal) =>
			rpc('error_top_groups', { ...this.#question(), page_size: 8 }, { signal })
		);
		this.workflows = new Resource((signal) =>
			rpc('error_workflow_rates', { ...this.#question(), page_size: WORKFLOWS }, { signal })
		);
		this.incidents = new Resource((signal) => this.#readIncidents(signal));
		this.rules = new Resource((signal) =>
			rows(
				supabase()
					.from('alert_rules')
					.select('*')
					.eq('enabled', true)
					.in('metric', ['count', 'rate'])
					.limit(200),
				{ signal }
			)
		);
	}

	/** Errors of the last minute: from live rows where they can tell, which is sooner than any query. */
	perMinute = $derived.by(() => {
		const told = this.tiles.data?.per_minute_now ?? null;
		const { filters, now } = this.#errors;
		if (countFilters({ ...filters, project: null }) > 0 || told === null) return told;
		const projects = Object.entries(this.#live).filter(
			([id]) => filters.project === null || filters.project === id
		);
		const latest = Math.max(0, ...projects.map(([, { asOf }]) => asOf));
		// A row that is older than the query's answer says nothing new.
		if (latest <= (this.tiles.updatedAt ?? 0)) return told;
		return projects.reduce(
			(sum, [, { total, asOf }]) => sum + (now - asOf < 60_000 ? total : 0),
			0
		);
	});

	/** The trend as the chart takes it. */
	trend = $derived.by(() => {
		const answer = this.series.data;
		if (!answer) return null;
		const through = answer.complete_through ?? this.#errors.tracker.complete_through;
		return toChartData(answer, { now: this.#errors.serverNow(), completeThrough: millis(through) });
	});

	/** Asks everything, because range or filters changed. */
	load() {
		for (const one of [
			this.tiles,
			this.series,
			this.groups,
			this.workflows,
			this.incidents,
			this.rules
		]) {
			one.load();
		}
		this.feed.load();
	}

	/** Follows live rows until what it returns is called. */
	start() {
		const { live } = this.#errors;
		const numbers = throttle(() => {
			this.tiles.refresh();
			this.series.refresh();
		}, NUMBERS_EVERY);
		const lists = throttle(() => {
			this.groups.refresh();
			this.workflows.refresh();
		}, LISTS_EVERY);
		const all = () => {
			this.feed.poke();
			if (!isLive(this.#errors.range)) return;
			numbers();
			lists();
			this.incidents.refresh();
		};
		const stops = [
			live.on('error_rates_live', (changed) => {
				const next = { ...this.#live };
				for (const { row } of changed) {
					next[row.project_id ?? 'none'] = { total: row.snapshot?.total_1m ?? 0, asOf: Date.now() };
				}
				this.#live = next;
				this.feed.poke();
				if (!isLive(this.#errors.range)) return;
				numbers();
				lists();
			}),
			live.on('alert_incidents', () => {
				this.incidents.refresh();
				numbers();
			}),
			live.onResync(all)
		];
		// A moving range moves on when nothing happens, too.
		const timer = setInterval(() => {
			if (document.visibilityState === 'visible') all();
		}, 15_000);
		return () => {
			clearInterval(timer);
			numbers.stop();
			lists.stop();
			for (const stop of stops) stop();
			this.feed.stop();
			for (const one of [
				this.tiles,
				this.series,
				this.groups,
				this.workflows,
				this.incidents,
				this.rules
			]) {
				one.stop();
			}
		};
	}

	#range() {
		return chartRange(this.#errors.range, this.#errors.serverNow());
	}

	#question() {
		const { from, to } = this.#range();
		return {
			since: new Date(from).toISOString(),
			until: new Date(to).toISOString(),
			filters: toQuery(this.#errors.filters)
		};
	}

	/** @param {AbortSignal} signal */
	#readSeries(signal) {
		const question = { ...this.#question(), step_seconds: this.#range().bucket };
		return rpc('error_series', { ...question, dimension: this.dimension }, { signal });
	}

	/** @param {AbortSignal} signal */
	#readIncidents(signal) {
		const { from, to } = this.#range();
		const { project } = this.#errors.filters;
		let query = supabase()
			.from('alert_incidents')
			.select(
				'incident_id, rule_id, rule_name, project_id, state, level, peak_level, started_at, fired_at, resolved_at, group_key'
			)
			.neq('state', 'pending')
			.lt('started_at', new Date(to).toISOString())
			.or(`resolved_at.is.null,resolved_at.gt.${new Date(from).toISOString()}`)
			.order('started_at', { ascending: false })
			.limit(MAX_BANDS);
		if (project === 'none') query = query.is('project_id', null);
		else if (project) query = query.eq('project_id', project);
		return rows(query, { signal });
	}
}

/**
 * Thresholds of count and rate rules as lines of a chart with buckets of `bucket` seconds: only of
 * rules that look at exactly what the chart shows, over no less time than a bucket.
 * @param {any[]} rules
 * @param {{ bucket: number, project: string | null, everything?: boolean, filtered: boolean }} shown
 *   `project` is the one whose errors the chart shows, null where there are several; `everything`
 *   says that these are all there are.
 */
export function thresholdsOf(rules, { bucket, project, everything = false, filtered }) {
	if (filtered || (project === null && !everything)) return [];
	/** @type {import('./chart.js').Threshold[]} */
	const lines = [];
	for (const rule of rules) {
		const about =
			looksAt(rule, project) &&
			[rule.sources, rule.error_types, rule.severities, rule.workflow_ids].every(
				(list) => (list ?? []).length === 0
			) &&
			!rule.message_contains;
		if (!about || rule.window_seconds < bucket) continue;
		const scale = rule.metric === 'rate' ? bucket / 60 : bucket / rule.window_seconds;
		const exact = rule.metric === 'rate' || rule.window_seconds === bucket;
		for (const [level, color] of /** @type {const} */ ([
			['warning', '--color-warning'],
			['critical', '--color-error']
		])) {
			const value = rule[level];
			if (value === null) continue;
			lines.push({
				label: `${rule.name}: ${level}${exact ? '' : ' (average)'}`,
				value: value * scale,
				color
			});
		}
	}
	return lines.slice(0, 4);
}

/**
 * Whether a rule compares the errors of one project, or of all together, with its thresholds.
 * @param {any} rule
 * @param {string | null} project Null for all together.
 */
function looksAt({ project_id, group_by }, project) {
	const perProject = group_by.length === 1 && group_by[0] === 'project';
	if (project === null) return project_id === null && group_by.length === 0;
	if (project_id === null) return perProject;
	return project_id === project && (perProject || group_by.length === 0);
}
