import { describe, expect, it } from 'vitest';
import { dayStarts, daysLabel, occurrences, ofDay } from './calendar.js';

const at = (/** @type {string} */ text) => Date.parse(text);
const night = {
	quiet_hours_id: 'n',
	name: 'Night',
	kind: 'quiet',
	days: [1, 2, 3, 4, 5, 6, 7],
	starts: '22:00:00',
	ends: '06:00:00',
	time_zone: 'Europe/Berlin',
	allow_critical: false
};

describe('occurrences', () => {
	it('reach over midnight and follow changes of the clock', () => {
		// On 29 March 2026 clocks go from 2:00 to 3:00, so that night is an hour shorter.
		const found = occurrences(night, at('2026-03-28T12:00:00Z'), at('2026-03-30T12:00:00Z'));
		expect(
			found.map(({ from, to }) => [new Date(from).toISOString(), (to - from) / 3_600_000])
		).toEqual([
			['2026-03-28T21:00:00.000Z', 7],
			['2026-03-29T20:00:00.000Z', 8]
		]);
	});

	it('begin on the chosen days only, and include one that has begun', () => {
		const friday = { ...night, days: [5] };
		// Saturday, 3 in the morning: Friday's night is on.
		const found = occurrences(friday, at('2026-11-28T02:00:00Z'), at('2026-11-30T00:00:00Z'));
		expect(found.map(({ from }) => new Date(from).toISOString())).toEqual([
			'2026-11-27T21:00:00.000Z'
		]);
	});
});

it('knows days of 23 hours', () => {
	const starts = dayStarts(at('2026-03-28T12:00:00Z'), 3, 'Europe/Berlin');
	expect(starts.slice(1).map((start, i) => (start - starts[i]) / 3_600_000)).toEqual([24, 23, 24]);
});

it('puts what overlaps into lanes', () => {
	const one = (/** @type {string} */ id, /** @type {number} */ from, /** @type {number} */ to) => ({
		id,
		kind: /** @type {const} */ ('silence'),
		label: id,
		from,
		to,
		critical: false
	});
	const { parts, lanes } = ofDay(
		[one('a', -5, 50), one('b', 25, 75), one('c', 60, 200), one('d', 300, 400)],
		0,
		100
	);
	expect(lanes).toBe(2);
	expect(parts.map(({ id, left, right, lane }) => [id, left, right, lane])).toEqual([
		['a', 0, 50, 0],
		['b', 25, 75, 1],
		['c', 60, 100, 0]
	]);
});

it.each([
	[[1, 2, 3, 4, 5, 6, 7], 'every day'],
	[[5, 4, 3, 2, 1], 'Monday to Friday'],
	[[7, 6], 'Saturday and Sunday'],
	[[1, 3], 'Mon, Wed']
])('%j is %s', (days, expected) => {
	expect(daysLabel(days)).toBe(expected);
});
