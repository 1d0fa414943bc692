import { describe, expect, it } from 'vitest';
import { ceiling, stack, summary, toChartData, unknownStretches } from './chart.js';
import { union } from './draw.js';

const NOON = Date.UTC(2026, 10, 22, 12);
const answer = {
	since: '2026-11-22T11:57:00Z',
	step_seconds: 60,
	dimension: 'severity',
	counts: { low: [1, 0, 0, 0], high: [2, 3, 0, 0], medium: [0, 0, 0, 0] },
	totals: { low: 1, high: 5, medium: 0 }
};

describe('what the database answered', () => {
	it('is stacked from the worst, zero where nothing happened, unfinished at the end', () => {
		const data = toChartData(answer, { now: NOON + 30_000, completeThrough: NOON + 29_500 });
		expect(data.times).toEqual([0, 1, 2, 3].map((i) => NOON / 1000 - 180 + i * 60));
		expect(data.series.map(({ label }) => label)).toEqual(['high', 'medium', 'low']);
		expect(data.series[0].values).toEqual([2, 3, 0, 0]);
		expect(data.partial).toBe(3);
		expect(new Set(data.series.map(({ texture }) => texture)).size).toBe(3);
	});

	it('has no data after the tracker stopped, which is not zero', () => {
		const data = toChartData(answer, { now: NOON + 30_000, completeThrough: NOON - 90_000 });
		expect(data.series[0].values).toEqual([2, 3, null, null]);
		expect(data.series[1].values).toEqual([0, 0, null, null]);
		expect(data.partial).toBe(1);
		expect(unknownStretches(data.series.map(({ values }) => values))).toEqual([[2, 3]]);
	});

	it('has no data at all where nobody ever counted', () => {
		const data = toChartData(
			{ ...answer, counts: { high: [0, 0, 0, 0] } },
			{ now: NOON, completeThrough: null }
		);
		expect(data.series[0].values).toEqual([null, null, null, null]);
		expect(data.partial).toBeNull();
	});

	it('tolerates that the tracker is a moment behind', () => {
		const data = toChartData(answer, { now: NOON + 1_000, completeThrough: NOON - 1_000 });
		expect(data.series[0].values[3]).toBe(0);
	});

	it('ranks keys that nobody knows beforehand, others last', () => {
		const types = {
			...answer,
			dimension: 'type',
			counts: { other: [9, 0, 0, 0], 'input.schema': [1, 0, 0, 0], 'execution.http': [5, 0, 0, 0] },
			totals: { other: 9, 'input.schema': 1, 'execution.http': 5 }
		};
		const data = toChartData(types, { now: NOON, completeThrough: NOON });
		expect(data.series.map(({ label }) => label)).toEqual([
			'execution.http',
			'input.schema',
			'other'
		]);
	});
});

it('stacks, and keeps gaps', () => {
	expect(
		stack([
			[1, null, 2],
			[3, null, null],
			[0, null, 1]
		])
	).toEqual([
		[1, null, 2],
		[4, null, 2],
		[4, null, 3]
	]);
});

it.each([
	[[], [], 1],
	[[0], [], 1],
	[[7], [], 8],
	[[96], [], 150],
	[[12], [20], 30],
	[[12], [500], 15],
	[[null, 3], [], 4]
])('a ceiling above %j and near thresholds %j is %s', (values, thresholds, expected) => {
	const lines = thresholds.map((value) => ({ label: '', value, color: '' }));
	expect(ceiling([values], lines)).toBe(expected);
});

describe('the caption', () => {
	const words = {
		noun: 'errors',
		range: 'last hour',
		format: String,
		time: (/** @type {number} */ seconds) => `t${seconds}`
	};
	const series = (/** @type {(number | null)[]} */ ...values) => [
		{ label: 'a', values, color: '' }
	];
	it.each([
		[series(1, 5, 2), '8 errors in the last hour, at most 5 at t1.'],
		[series(0, 0, 0), 'No errors in the last hour.'],
		[series(null, null, null), 'No data in the last hour.']
	])('of %j', (shown, expected) => {
		expect(summary(shown, [0, 1, 2], words)).toBe(expected);
	});
});

it('joins overlapping bands', () => {
	expect(
		union([
			{ left: 5, right: 8 },
			{ left: 0, right: 3 },
			{ left: 2, right: 4 },
			{ left: 9, right: 9 }
		])
	).toEqual([
		[0, 4],
		[5, 8]
	]);
});
