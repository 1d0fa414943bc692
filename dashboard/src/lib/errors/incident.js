// Incidents in words and as strips over time.

import { decimal, duration, percent, count } from './format.js';

/**
 * @typedef {object} Incident
 * @property {string} incident_id
 * @property {string | null} rule_id
 * @property {string} rule_name
 * @property {string | null} project_id
 * @property {string} group_key
 * @property {'pending' | 'firing' | 'resolved'} state
 * @property {'warning' | 'critical'} level
 * @property {'warning' | 'critical'} peak_level
 * @property {string} started_at
 * @property {string | null} fired_at
 * @property {string | null} resolved_at
 * @property {number} value
 * @property {number} threshold
 * @property {number} peak
 * @property {any} evidence
 * @property {string | null} acknowledged_at
 * @property {string | null} acknowledged_by
 * @property {string | null} [acknowledged_by_name]
 * @property {string | null} acknowledge_note
 * @property {boolean} [flapping]
 */

/** @typedef {{ project: (id: string | null) => string, workflow: (id: string | null) => string }} Names */

/**
 * The group of an incident, field by field; empty where the rule does not group.
 * @param {string} key Canonical JSON.
 * @returns {[string, string | null][]}
 */
export function groupFields(key) {
	try {
		const parsed = JSON.parse(key || '{}');
		return Object.entries(parsed).map(([name, value]) => [
			name,
			value === null ? null : String(value)
		]);
	} catch {
		return [];
	}
}

/**
 * The group in words, as in `Order sync v3 · high`.
 * @param {string} key
 * @param {Names} names
 */
export function groupLabel(key, names) {
	return groupFields(key)
		.map(([field, value]) => fieldValue(field, value, names))
		.join(' · ');
}

/** @param {string} field @param {string | null} value @param {Names} names */
export function fieldValue(field, value, names) {
	if (field === 'project') return names.project(value);
	if (field === 'workflow') return names.workflow(value);
	if (value === null) return `no ${field}`;
	return field === 'fingerprint' ? `group ${value.slice(0, 8)}` : value;
}

/**
 * A rule's value with its unit.
 * @param {string | undefined} metric
 * @param {number | null | undefined} value
 */
export function metricValue(metric, value) {
	if (value == null) return '–';
	switch (metric) {
		case 'ratio':
			return percent(value);
		case 'rate':
			return `${decimal(value)}/min`;
		case 'change':
			return `${decimal(value)} %`;
		case 'burn_rate':
			return `${decimal(value)}×`;
		case 'absence':
			return `${decimal(value)} windows`;
		case 'count':
		case 'new_group':
			return count(value);
		default:
			return decimal(value);
	}
}

/** How long an incident has lasted or lasted, in seconds. @param {Incident} incident @param {number} now */
export function lasted(incident, now) {
	const end = incident.resolved_at ? Date.parse(incident.resolved_at) : now;
	return Math.max(0, (end - Date.parse(incident.started_at)) / 1000);
}

/** @typedef {{ state: 'ok' | 'pending' | 'warning' | 'critical', from: number, to: number }} Segment */
/** @typedef {{ from: number, to: number, flips: number }} Zone */
/** @typedef {{ key: string, name: string, segments: Segment[], zones: Zone[], incidents: number, seconds: number }} Strip */

const RANK = { ok: 0, pending: 1, warning: 2, critical: 3 };
/** So many beginnings and ends within an hour make a flapping zone. */
const FLIPS = 4;
const ZONE = 3_600_000;

/**
 * One strip per rule: at most `buckets` stretches, each with the worst that happened in it, equal
 * neighbours merged. Times in milliseconds.
 * @param {Incident[]} incidents
 * @param {{ from: number, to: number, buckets?: number, rules?: number }} range
 * @returns {Strip[]}
 */
export function strips(incidents, { from, to, buckets = 60, rules = 12 }) {
	/** @type {Map<string, Incident[]>} */
	const byRule = new Map();
	for (const incident of incidents) {
		const end = incident.resolved_at ? Date.parse(incident.resolved_at) : to;
		if (end <= from || Date.parse(incident.started_at) >= to) continue;
		const key = incident.rule_id ?? incident.rule_name;
		byRule.set(key, [...(byRule.get(key) ?? []), incident]);
	}
	const width = (to - from) / buckets;
	return [...byRule]
		.map(([key, own]) => {
			/** @type {Segment['state'][]} */
			const worst = Array.from({ length: buckets }, () => 'ok');
			let seconds = 0;
			for (const one of own) {
				const start = Math.max(from, Date.parse(one.started_at));
				const end = Math.min(to, one.resolved_at ? Date.parse(one.resolved_at) : to);
				seconds += Math.max(0, end - start) / 1000;
				const state = one.fired_at ? one.peak_level : 'pending';
				const last = Math.min(buckets - 1, Math.max(0, Math.ceil((end - from) / width) - 1));
				for (let i = Math.floor((start - from) / width); i <= last; i++) {
					if (RANK[state] > RANK[worst[i] ?? 'ok']) worst[i] = state;
				}
			}
			/** @type {Segment[]} */
			const segments = [];
			worst.forEach((state, i) => {
				const before = segments.at(-1);
				if (before?.state === state) before.to = from + (i + 1) * width;
				else segments.push({ state, from: from + i * width, to: from + (i + 1) * width });
			});
			return {
				key,
				name: own[0].rule_name,
				segments,
				zones: flappingZones(own, from, to),
				incidents: own.length,
				seconds
			};
		})
		.sort((a, b) => b.seconds - a.seconds || a.name.localeCompare(b.name))
		.slice(0, rules);
}

/**
 * Stretches in which an alert came and went again and again.
 * @param {Incident[]} incidents Of one rule.
 * @param {number} from
 * @param {number} to
 * @returns {Zone[]}
 */
export function flappingZones(incidents, from, to) {
	const flips = incidents
		.flatMap((one) => [one.started_at, one.resolved_at])
		.filter((at) => at !== null)
		.map((at) => Date.parse(/** @type {string} */ (at)))
		.filter((at) => at >= from && at <= to)
		.sort((a, b) => a - b);
	/** @type {Zone[]} */
	const zones = [];
	for (let first = 0, last = 0; last < flips.length; last++) {
		while (flips[last] - flips[first] > ZONE) first++;
		if (last - first + 1 < FLIPS) continue;
		const open = zones.at(-1);
		if (open && open.to >= flips[first]) {
			open.to = flips[last];
			open.flips = flips.filter((at) => at >= open.from && at <= open.to).length;
		} else {
			zones.push({ from: flips[first], to: flips[last], flips: last - first + 1 });
		}
	}
	return zones;
}

/**
 * A strip in a sentence, for those who do not see it.
 * @param {Strip} strip
 */
export function stripSentence(strip) {
	const parts = [
		`${strip.name}: ${strip.incidents} ${strip.incidents === 1 ? 'incident' : 'incidents'}`,
		`${duration(strip.seconds)} in all`
	];
	for (const zone of strip.zones) {
		parts.push(`flapping, ${zone.flips} changes in ${duration((zone.to - zone.from) / 1000)}`);
	}
	return parts.join(', ');
}
