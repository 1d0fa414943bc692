import { expect, it } from 'vitest';
import { tickLabel } from './plot.js';

const HOUR = 3600;

it.each([
	[12, 0, 6 * HOUR, '12:00'],
	[0, 0, 36 * HOUR, '00:00'],
	[0, 0, 48 * HOUR, '1 Mar'],
	[6, 30, 48 * HOUR, '1 Mar 06:30'],
	[6, 0, 30 * 24 * HOUR, '1 Mar']
])('%d:%d over %d seconds', (hour, minute, span, expected) => {
	expect(tickLabel(new Date(2026, 2, 1, hour, minute).getTime() / 1000, span)).toBe(expected);
});
