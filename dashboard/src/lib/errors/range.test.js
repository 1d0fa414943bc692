import { describe, expect, it } from 'vitest';
import {
	bucketSeconds,
	chartRange,
	parseRange,
	rangeName,
	resolveRange,
	writeRange
} from './range.js';

const params = (/** @type {string} */ query) => new URLSearchParams(query);
const NOON = Date.UTC(2026, 10, 22, 12, 0, 20);

describe('a range in the URL', () => {
	it.each([
		['', { id: '1h', seconds: 3600, from: null, to: null }],
		['range=7d', { id: '7d', seconds: 604_800, from: null, to: null }],
		['range=forever', { id: '1h', seconds: 3600, from: null, to: null }],
		[
			'from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z',
			{
				id: 'custom',
				seconds: 1800,
				from: Date.UTC(2026, 10, 22, 10),
				to: Date.UTC(2026, 10, 22, 10, 30)
			}
		],
		[
			'from=2026-11-22T10:00:00Z&to=2026-11-22T09:00:00Z',
			{ id: '1h', seconds: 3600, from: null, to: null }
		],
		['from=x&to=y&range=24h', { id: '24h', seconds: 86_400, from: null, to: null }]
	])('%j', (query, expected) => {
		expect(parseRange(params(query))).toEqual(expected);
	});

	it('comes back as it was written', () => {
		for (const query of [
			'',
			'range=15m',
			'range=30d',
			'from=2026-11-22T10:00:00.000Z&to=2026-11-22T10:30:00.000Z'
		]) {
			const written = params('q=x');
			writeRange(written, parseRange(params(query)));
			expect(parseRange(written)).toEqual(parseRange(params(query)));
			expect(written.get('q')).toBe('x');
		}
	});

	it('is never longer than a year', () => {
		const { from, to } = resolveRange(
			parseRange(params('from=1999-01-01T00:00:00Z&to=2026-01-01T00:00:00Z')),
			NOON
		);
		expect((to - from) / 86_400_000).toBe(366);
	});
});

describe('buckets', () => {
	it.each([
		[900, 60],
		[3600, 60],
		[21_600, 300],
		[86_400, 900],
		[7 * 86_400, 3600],
		[30 * 86_400, 21_600],
		[366 * 86_400, 7 * 86_400]
	])('%i s has buckets of %i s', (seconds, bucket) => {
		expect(bucketSeconds(seconds)).toBe(bucket);
	});

	it('of a moving range are whole but for the last', () => {
		const { from, to, bucket } = chartRange(parseRange(params('')), NOON);
		expect(bucket).toBe(60);
		expect(to).toBe(NOON);
		expect(new Date(from).toISOString()).toBe('2026-11-22T11:01:00.000Z');
	});

	it('of a fixed range cover it', () => {
		const range = parseRange(params('from=2026-11-22T10:00:30Z&to=2026-11-22T10:20:10Z'));
		const { from, to } = chartRange(range, NOON);
		expect(new Date(from).toISOString()).toBe('2026-11-22T10:00:00.000Z');
		expect(new Date(to).toISOString()).toBe('2026-11-22T10:21:00.000Z');
	});
});

it('has a name', () => {
	expect(rangeName(parseRange(params('range=24h')))).toBe('last 24 hours');
	expect(
		rangeName(parseRange(params('from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z')))
	).toMatch(/ to /);
});
