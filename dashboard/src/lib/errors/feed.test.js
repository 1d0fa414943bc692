import { describe, expect, it } from 'vitest';
import { KEPT, merge, nextCursor } from './feed.js';

const row = (/** @type {number} */ seq) =>
	/** @type {import('./feed.js').FeedRow} */ (
		/** @type {unknown} */ ({ error_id: `id-${seq}`, seq })
	);
const seqs = (/** @type {{ seq: number }[]} */ rows) => rows.map(({ seq }) => seq);

describe('merge', () => {
	it('orders by number and takes each row once', () => {
		const { rows, added } = merge([row(9), row(5)], [row(7), row(9), row(11), row(7)]);
		expect(seqs(rows)).toEqual([11, 9, 7, 5]);
		expect(seqs(added)).toEqual([11, 7]);
	});

	it('gives the same list back where nothing is new', () => {
		const before = [row(2), row(1)];
		expect(merge(before, [row(1)]).rows).toBe(before);
	});

	it('stays bounded in a storm', () => {
		/** @type {import('./feed.js').FeedRow[]} */
		let rows = [];
		for (let start = 1; start < 20_000; start += 100) {
			rows = merge(
				rows,
				Array.from({ length: 100 }, (_, i) => row(start + i))
			).rows;
		}
		expect(rows).toHaveLength(KEPT);
		expect(rows[0].seq).toBe(20_000);
	});
});

describe('the cursor', () => {
	it.each([
		[{ last_seq: 10, low_water: 10 }, 0, 10],
		[{ last_seq: 10, low_water: 7 }, 0, 7],
		[{ last_seq: 10, low_water: null }, 0, 10],
		[{ last_seq: 10, low_water: 12 }, 0, 10],
		[{ last_seq: 3, low_water: 3 }, 8, 8]
	])('%j after %i is %i', (answer, before, expected) => {
		expect(nextCursor(answer, before)).toBe(expected);
	});
});
