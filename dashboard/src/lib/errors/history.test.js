import { describe, expect, it } from 'vitest';
import { csvField, csvLine } from './csv.js';
import { noFilters } from './filters.js';
import {
	DEFAULT_COLUMNS,
	historyArguments,
	parseView,
	writeColumns,
	writeCursor
} from './history.js';

const params = (/** @type {Record<string, string>} */ query) => new URLSearchParams(query);
const GROUP = 'bedb4ec6-0d43-9bdc-cf15-c78faf936b4a';

describe('the view in the URL', () => {
	it('has the usual columns without a word', () => {
		expect(parseView(params({}))).toEqual({
			columns: DEFAULT_COLUMNS,
			group: null,
			before: null,
			asOf: null
		});
		expect(writeColumns([...DEFAULT_COLUMNS].reverse())).toBeNull();
	});

	it('keeps what is known, in the order of the table', () => {
		expect(parseView(params({ cols: 'seq,message,nonsense' })).columns).toEqual(['message', 'seq']);
	});

	it.each(['2026-11-22T12:00:00.123456+00:00', '2026-11-22T12:00:00Z'])(
		'a cursor at %s comes back',
		(at) => {
			const before = writeCursor({ at, seq: 42 });
			expect(parseView(new URLSearchParams(params({ before }).toString())).before).toEqual({
				at,
				seq: 42
			});
		}
	);

	it.each(['', 'yesterday_1', '2026-11-22T12:00:00Z', '2026-11-22T12:00:00Z_-1', `x'_1`])(
		'%j is no cursor',
		(before) => {
			expect(parseView(params({ before })).before).toBeNull();
		}
	);

	it('asks the database', () => {
		const view = parseView(params({ group: GROUP, as_of: '99', before: '2026-11-22T12:00:00Z_7' }));
		expect(
			historyArguments({ since: 0, until: 60_000, filters: noFilters(), view, size: 10 })
		).toEqual({
			since: '1970-01-01T00:00:00.000Z',
			until: '1970-01-01T00:01:00.000Z',
			filters: { fingerprint: GROUP },
			before_at: '2026-11-22T12:00:00Z',
			before_seq: 7,
			as_of: 99,
			page_size: 10
		});
	});
});

describe('CSV', () => {
	it.each([
		[null, ''],
		[0, '0'],
		['plain', 'plain'],
		['a,b', '"a,b"'],
		['say "no"', '"say ""no"""'],
		['two\nlines', '"two\nlines"'],
		['=HYPERLINK("x")', `"'=HYPERLINK(""x"")"`],
		['-1+1', `'-1+1`],
		[{ a: 1 }, '"{""a"":1}"']
	])('%j becomes %s', (value, expected) => {
		expect(csvField(value)).toBe(expected);
	});

	it('ends lines as the format says', () => {
		expect(csvLine(['a', 1, null])).toBe('a,1,\r\n');
	});
});
