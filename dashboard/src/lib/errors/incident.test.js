import { expect, it } from 'vitest';
import {
	flappingZones,
	groupFields,
	groupLabel,
	metricValue,
	strips,
	stripSentence
} from './incident.js';

const T = Date.parse('2026-11-22T00:00:00Z');
const HOUR = 3_600_000;
/** @param {number} from @param {number | null} to In minutes. @param {object} [more] */
const incident = (from, to, more = {}) =>
	/** @type {any} */ ({
		rule_id: 'r',
		rule_name: 'Burst',
		peak_level: 'warning',
		started_at: new Date(T + from * 60_000).toISOString(),
		fired_at: new Date(T + from * 60_000).toISOString(),
		resolved_at: to === null ? null : new Date(T + to * 60_000).toISOString(),
		...more
	});

it('draws the worst of each stretch, and merges neighbours', () => {
	const [strip] = strips(
		[
			incident(0, 120),
			incident(60, 90, { peak_level: 'critical' }),
			incident(-500, -400),
			incident(180, null, { fired_at: null })
		],
		{ from: T, to: T + 4 * HOUR, buckets: 4 }
	);
	expect(strip.segments.map(({ state }) => state)).toEqual([
		'warning',
		'critical',
		'ok',
		'pending'
	]);
	expect(strip.incidents).toBe(3);
	expect(strip.seconds).toBe(7200 + 1800 + 3600);
	expect(stripSentence(strip)).toBe('Burst: 3 incidents, 3 h 30 min in all');
});

it('finds where an alert came and went', () => {
	const often = [0, 10, 20, 30].map((at) => incident(at, at + 4));
	expect(flappingZones(often, T, T + 9 * HOUR)).toEqual([
		{ from: T, to: T + 34 * 60_000, flips: 8 }
	]);
	const seldom = [0, 90, 200].map((at) => incident(at, at + 40));
	expect(flappingZones(seldom, T, T + 9 * HOUR)).toEqual([]);
});

it('names groups and values', () => {
	const names = {
		project: (/** @type {any} */ id) => `P${id}`,
		workflow: (/** @type {any} */ id) => `W${id}`
	};
	expect(groupLabel('{"project":"1","severity":"high","workflow":null}', names)).toBe(
		'P1 · high · Wnull'
	);
	expect(groupFields('not json')).toEqual([]);
	expect([
		metricValue('ratio', 0.05),
		metricValue('rate', 2),
		metricValue('count', 1200),
		metricValue('count', null)
	]).toEqual(['5 %', '2/min', '1,200', '–']);
});
