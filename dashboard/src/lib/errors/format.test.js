import { describe, expect, it } from 'vitest';
import {
	ago,
	change,
	compact,
	count,
	decimal,
	duration,
	iso,
	millis,
	NONE,
	percent,
	plural
} from './format.js';

describe('numbers', () => {
	it.each([
		[count, 12_345, '12,345'],
		[count, 0, '0'],
		[count, null, NONE],
		[count, NaN, NONE],
		[compact, 9_999, '9,999'],
		[compact, 12_345, '12.3K'],
		[compact, 1_234_567, '1.2M'],
		[decimal, 0.123, '0.12'],
		[decimal, 12.34, '12.3'],
		[percent, 0.042, '4.2 %'],
		[percent, 0.42, '42 %'],
		[percent, 0, '0 %'],
		[percent, undefined, NONE]
	])('%o of %s is %s', (format, value, expected) => {
		expect(format(/** @type {any} */ (value))).toBe(expected);
	});

	it('tells zero from no data', () => {
		expect(count(0)).not.toBe(count(null));
	});

	it.each([
		[112, 100, '+12 %'],
		[50, 100, '−50 %'],
		[100, 100, '±0 %'],
		[0, 0, '±0 %'],
		[5, 0, 'from 0'],
		[2000, 100, '×20'],
		[1, null, NONE]
	])('%s after %s is %s', (now, before, expected) => {
		expect(change(now, before)).toBe(expected);
	});

	it('has plurals', () => {
		expect(plural(1, 'error')).toBe('1 error');
		expect(plural(0, 'error')).toBe('0 errors');
		expect(plural(2, 'entry', 'entries')).toBe('2 entries');
	});
});

describe('times', () => {
	it.each([
		[0.25, '250 ms'],
		[5, '5 s'],
		[65, '1 min 5 s'],
		[3600, '1 h'],
		[12_000, '3 h 20 min'],
		[90_000, '1 d 1 h'],
		[null, NONE]
	])('%s s is %s', (seconds, expected) => {
		expect(duration(seconds)).toBe(expected);
	});

	const now = Date.UTC(2026, 10, 22, 12);
	it.each([
		[now, 'just now'],
		[now - 12_000, '12 s ago'],
		[now - 125_000, '2 min ago'],
		[now - 26 * 3_600_000, '1 d ago'],
		[now + 90_000, 'in 1 min 30 s'],
		[null, NONE],
		['no time', NONE]
	])('%s is %s', (at, expected) => {
		expect(ago(at, now)).toBe(expected);
	});

	it('reads instants', () => {
		expect(millis('2026-11-22T12:00:00Z')).toBe(now);
		expect(millis('')).toBeNull();
		expect(iso(now)).toBe('2026-11-22T12:00:00.000Z');
		expect(iso(null)).toBe('');
	});
});
