// The value that a rule had over time, from counts per step.

/**
 * Sums over a sliding window: what a `count` rule compares with its thresholds. The first steps fill
 * the window and are left out.
 * @param {number[]} counts One per step.
 * @param {number} steps Length of the window in steps.
 * @returns {number[]} `counts.length - steps + 1` values; empty where there are too few counts.
 */
export function rolling(counts, steps) {
	if (steps < 1 || counts.length < steps) return [];
	const values = [];
	let sum = 0;
	for (let i = 0; i < counts.length; i++) {
		sum += counts[i];
		if (i >= steps) sum -= counts[i - steps];
		if (i >= steps - 1) values.push(sum);
	}
	return values;
}

/**
 * What to ask `error_series` for, to draw a rule's value around an incident; null for rules whose
 * value cannot be told from counts of errors.
 * @param {{ metric: string, window_seconds: number, sources?: string[], error_types?: string[], severities?: string[], workflow_ids?: string[], message_contains?: string | null }} rule
 * @param {[string, string | null][]} group Fields of the incident's group.
 * @param {{ from: number, to: number }} span In milliseconds.
 */
export function valueQuery(rule, group, { from, to }) {
	if (!['count', 'rate', 'new_group'].includes(rule.metric)) return null;
	const window = rule.window_seconds * 1000;
	/** @type {Record<string, unknown>} */
	const filters = {};
	if (rule.sources?.length) filters.sources = rule.sources;
	if (rule.error_types?.length) filters.types = rule.error_types;
	if (rule.severities?.length) filters.severities = rule.severities;
	if (rule.workflow_ids?.length) filters.workflows = rule.workflow_ids;
	if (rule.message_contains) filters.text = rule.message_contains;
	for (const [field, value] of group) {
		if (field === 'project') filters.project = value ?? 'none';
		else if (value === null) return null;
		else if (field === 'workflow') filters.workflows = [value];
		else if (field === 'source') filters.sources = [value];
		else if (field === 'error_type') filters.types = [value];
		else if (field === 'severity') filters.severities = [value];
		else if (field === 'fingerprint') filters.fingerprint = value;
	}
	const length = (to - from + window) / 1000;
	const direct = 'text' in filters || 'fingerprint' in filters;
	if ('text' in filters && length > 86_400) return null;
	// A step is a minute, or an hour where minutes would be too many.
	const step = length <= (direct ? 24 : 32) * 3600 ? 60 : 3600;
	if (rule.window_seconds % step !== 0 || length / step > 1900) return null;
	const first = Math.floor(from / 1000 / step) * step;
	return {
		steps: rule.window_seconds / step,
		args: {
			since: new Date((first + step) * 1000 - window).toISOString(),
			until: new Date(to).toISOString(),
			step_seconds: step,
			dimension: 'none',
			filters
		}
	};
}

/**
 * The points of a rule's value from an answer of `error_series`.
 * @param {{ since: string, step_seconds: number, counts: Record<string, number[]> }} series
 * @param {number} steps
 * @param {{ metric: string, window_seconds: number }} rule
 */
export function valuePoints(series, steps, rule) {
	const sums = rolling(series.counts.total ?? [], steps);
	const minutes = rule.window_seconds / 60;
	const start = Date.parse(series.since) / 1000 + (steps - 1) * series.step_seconds;
	return {
		times: sums.map((_, i) => start + i * series.step_seconds),
		values: rule.metric === 'rate' ? sums.map((sum) => sum / minutes) : sums
	};
}
