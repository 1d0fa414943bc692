// The order of workflows in their table.

/** @typedef {{ workflow_id: string | null, errors: number, high: number, runs: number | null }} WorkflowRow */

/** Errors against runs; null where no run is known. @param {WorkflowRow} row */
export function ratioOf({ errors, runs }) {
	return runs !== null && runs > 0 ? errors / runs : null;
}

/**
 * The rows in the order of a column. What is not known comes last either way; equals follow their errors.
 * @template {WorkflowRow} Row
 * @param {Row[]} rows
 * @param {{ key: string, descending: boolean }} by `key` is errors, high, runs, or ratio.
 */
export function sortWorkflows(rows, { key, descending }) {
	/** @param {Record<string, any> & Row} row @returns {number | null} */
	const value = (row) => (key === 'ratio' ? ratioOf(row) : row[key]);
	return [...rows].sort((a, b) => {
		const [left, right] = [value(a), value(b)];
		if (left === null || right === null) {
			if (left !== right) return left === null ? 1 : -1;
		} else if (left !== right) return descending ? right - left : left - right;
		return b.errors - a.errors;
	});
}
