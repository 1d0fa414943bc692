// Error events as CSV (RFC 4180), safe to open in a spreadsheet.

/** Columns of a download, all there are. */
export const CSV_COLUMNS = [
	'timestamp',
	'severity',
	'source',
	'error_type',
	'message',
	'project',
	'project_id',
	'workflow',
	'workflow_id',
	'fingerprint',
	'error_id',
	'received_at',
	'seq',
	'metadata'
];

/**
 * One field. What a spreadsheet would run as a formula gets an apostrophe before it.
 * @param {unknown} value
 */
export function csvField(value) {
	if (value === null || value === undefined) return '';
	if (typeof value === 'number' || typeof value === 'boolean') return String(value);
	const text = typeof value === 'string' ? value : JSON.stringify(value);
	const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A line with its end. @param {unknown[]} values */
export function csvLine(values) {
	return `${values.map(csvField).join(',')}\r\n`;
}
