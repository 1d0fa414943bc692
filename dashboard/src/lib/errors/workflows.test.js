import { expect, it } from 'vitest';
import { sortWorkflows } from './workflows.js';

const ROWS = [
	{ workflow_id: 'busy', errors: 90, high: 1, runs: 9000 },
	{ workflow_id: 'worst', errors: 8, high: 2, runs: 10 },
	{ workflow_id: null, errors: 50, high: 50, runs: null },
	{ workflow_id: 'idle', errors: 60, high: 0, runs: 0 }
];

it.each(
	/** @type {const} */ ([
		['ratio', true, ['worst', 'busy', 'idle', null]],
		['ratio', false, ['busy', 'worst', 'idle', null]],
		['errors', true, ['busy', 'idle', null, 'worst']],
		['runs', true, ['busy', 'worst', 'idle', null]],
		['runs', false, ['idle', 'worst', 'busy', null]],
		['high', false, ['idle', 'busy', 'worst', null]]
	])
)('by %s, descending: %s', (key, descending, expected) => {
	expect(sortWorkflows(ROWS, { key, descending }).map((row) => row.workflow_id)).toEqual(expected);
});
