// The explorer's URL: columns, the group, and where a page begins.

import { toQuery } from './filters.js';

/** @typedef {{ at: string, seq: number }} Cursor The last row of the page before. */
/**
 * @typedef {object} View
 * @property {string[]} columns
 * @property {string | null} group A fingerprint.
 * @property {Cursor | null} before
 * @property {number | null} asOf Rows with a higher number came later and are left out.
 */

export const COLUMNS = [
	{ key: 'timestamp', label: 'Time' },
	{ key: 'severity', label: 'Severity' },
	{ key: 'message', label: 'Message' },
	{ key: 'error_type', label: 'Type' },
	{ key: 'source', label: 'Source' },
	{ key: 'workflow_id', label: 'Workflow' },
	{ key: 'project_id', label: 'Project' },
	{ key: 'received_at', label: 'Received' },
	{ key: 'seq', label: 'Number' },
	{ key: 'error_id', label: 'Id' }
];
export const DEFAULT_COLUMNS = [
	'timestamp',
	'severity',
	'message',
	'error_type',
	'source',
	'workflow_id'
];
/** Rows a page shows. */
export const PAGE_SIZE = 50;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * What the URL says.
 * @param {URLSearchParams} params
 * @returns {View}
 */
export function parseView(params) {
	const wished = (params.get('cols') ?? '').split(',');
	// In the order of the list, not of the URL, so that the same columns look the same.
	const columns = COLUMNS.map(({ key }) => key).filter((key) => wished.includes(key));
	const group = params.get('group');
	const asOf = Number(params.get('as_of'));
	return {
		columns: columns.length > 0 ? columns : DEFAULT_COLUMNS,
		group: group && UUID.test(group) ? group : null,
		before: parseCursor(params.get('before')),
		asOf: Number.isSafeInteger(asOf) && asOf > 0 ? asOf : null
	};
}

/** @param {string[]} columns */
export function writeColumns(columns) {
	const same =
		columns.length === DEFAULT_COLUMNS.length &&
		DEFAULT_COLUMNS.every((key) => columns.includes(key));
	return same || columns.length === 0 ? null : columns.join(',');
}

/** @param {Cursor} cursor */
export function writeCursor({ at, seq }) {
	return `${at}_${seq}`;
}

/**
 * @param {string | null} text
 * @returns {Cursor | null}
 */
function parseCursor(text) {
	const [, at, seq] = /^([0-9T:.+Z-]+)_(\d{1,18})$/.exec((text ?? '').replaceAll(' ', '+')) ?? [];
	return at && !Number.isNaN(Date.parse(at)) ? { at, seq: Number(seq) } : null;
}

/**
 * Arguments of `error_history`.
 * @param {{ since: number, until: number, filters: import('./filters.js').Filters, view: View, size?: number }} question
 */
export function historyArguments({ since, until, filters, view, size = PAGE_SIZE }) {
	return {
		since: new Date(since).toISOString(),
		until: new Date(until).toISOString(),
		filters: { ...toQuery(filters), ...(view.group ? { fingerprint: view.group } : {}) },
		before_at: view.before?.at ?? null,
		before_seq: view.before?.seq ?? null,
		as_of: view.asOf,
		page_size: size
	};
}
