import { expect, it } from 'vitest';
import { rolling, valuePoints, valueQuery } from './rolling.js';

it('sums over a sliding window', () => {
	expect(rolling([1, 2, 3, 4], 2)).toEqual([3, 5, 7]);
	expect(rolling([1, 2, 3], 3)).toEqual([6]);
	expect(rolling([1], 2)).toEqual([]);
});

const span = { from: Date.parse('2026-11-22T10:00:00Z'), to: Date.parse('2026-11-22T11:00:00Z') };

it('asks for the errors that a rule counts, with the window before', () => {
	const rule = {
		metric: 'count',
		window_seconds: 300,
		sources: ['worker'],
		error_types: [],
		severities: ['high']
	};
	const query = valueQuery(
		rule,
		[
			['project', null],
			['workflow', 'w'],
			['severity', 'low']
		],
		span
	);
	expect(query).toMatchObject({
		steps: 5,
		args: {
			since: '2026-11-22T09:56:00.000Z',
			step_seconds: 60,
			filters: { sources: ['worker'], severities: ['low'], project: 'none', workflows: ['w'] }
		}
	});
	const points = valuePoints(
		{ since: '2026-11-22T09:56:00Z', step_seconds: 60, counts: { total: [1, 0, 0, 0, 2, 5] } },
		5,
		{ ...rule, metric: 'rate' }
	);
	expect(points).toEqual({
		times: [span.from / 1000, span.from / 1000 + 60],
		values: [3 / 5, 7 / 5]
	});
});

it('knows what counts of errors cannot tell', () => {
	expect(valueQuery({ metric: 'ratio', window_seconds: 300 }, [], span)).toBeNull();
	expect(valueQuery({ metric: 'count', window_seconds: 360_000 }, [], span)).toMatchObject({
		steps: 100
	});
	expect(
		valueQuery({ metric: 'count', window_seconds: 172_800, message_contains: 'x' }, [], span)
	).toBeNull();
});
