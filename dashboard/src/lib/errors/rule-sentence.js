// A rule as a plain sentence.

import { decimal, duration } from './format.js';
import { GROUP_FIELDS, toShown } from './rule.js';

/** @typedef {import('./rule.js').Rule} Rule */

/**
 * The rule as a sentence.
 * @param {Rule} rule
 * @param {{ channels: string[], project: string, workflow: (id: string) => string }} names
 */
export function sentence(rule, { channels, project, workflow }) {
	const window = duration(rule.window_seconds);
	const subject = subjectOf(rule, workflow);
	/** @type {string} */
	let condition;
	const lines = thresholds(rule);
	switch (rule.metric) {
		case 'ratio':
			condition = `When ${subject} make up ${lines} of workflow runs over ${window} (with at least ${rule.min_runs} runs)`;
			break;
		case 'rate':
			condition = `When there are ${lines} ${subject} per minute over ${window}`;
			break;
		case 'new_group':
			condition = `When a group of ${subject} that was never seen before${rule.quiet_days ? ` (or not for ${rule.quiet_days} days)` : ''} has ${lines} in ${window}`;
			break;
		case 'change':
			condition = `When there are ${lines} more ${subject} in ${window} than ${rule.compare_seconds === 604800 ? 'a week' : 'a day'} earlier (and at least ${rule.min_count})`;
			break;
		case 'burn_rate':
			condition = `When ${subject} use up the error budget of ${decimal((rule.objective ?? 0) * 100)} % over ${window} too fast`;
			break;
		case 'absence':
			condition = `When there is no ${rule.absence_of === 'runs' ? 'workflow run' : 'error that matches'} for ${lines ? `${lines} ` : ''}${window}`;
			break;
		default:
			condition = `When there are ${lines} ${subject} in ${window}`;
	}
	if (rule.group_by?.length) {
		const groups = GROUP_FIELDS.filter(([id]) => rule.group_by.includes(id)).map(([, name]) =>
			name.toLowerCase()
		);
		condition += `, counted per ${groups.join(' and ')}`;
	}
	condition += ` in ${project}`;
	if (rule.pending_seconds) condition += `, for ${duration(rule.pending_seconds)}`;
	const told = channels.length === 0 ? 'tell nobody' : `tell ${list(channels)}`;
	const again = rule.reminder_seconds
		? `, again every ${duration(rule.reminder_seconds)} until somebody acknowledges`
		: ', once';
	return `${condition}, ${told}${channels.length === 0 ? '' : again}.`;
}

/** @param {Rule} rule */
function thresholds(rule) {
	const one = (/** @type {number} */ value) => {
		if (rule.metric === 'ratio') return `${toShown('ratio', value)} %`;
		if (rule.metric === 'change') return `${value} %`;
		if (rule.metric === 'absence') return value === 1 ? '' : `${value} ×`;
		return decimal(value);
	};
	const { warning, critical } = rule;
	if (rule.metric === 'absence') return one(warning ?? critical ?? 1);
	if (typeof warning === 'number' && typeof critical === 'number') {
		return `${one(warning)} (critical: ${one(critical)}) or more`;
	}
	const only = warning ?? critical;
	return typeof only === 'number' ? `${one(only)} or more` : 'too many';
}

/** @param {Rule} rule @param {(id: string) => string} workflow */
function subjectOf(rule, workflow) {
	const words = [];
	if (rule.severities?.length) words.push(list(rule.severities, 'or'));
	if (rule.sources?.length) words.push(list(rule.sources, 'or'));
	words.push('errors');
	if (rule.error_types?.length) words.push(`of type ${list(rule.error_types, 'or')}`);
	if (rule.workflow_ids?.length) words.push(`of ${list(rule.workflow_ids.map(workflow), 'or')}`);
	if (rule.message_contains) words.push(`that say “${rule.message_contains}”`);
	return words.join(' ');
}

/** @param {string[]} items */
function list(items, last = 'and') {
	if (items.length < 2) return items.join('');
	return `${items.slice(0, -1).join(', ')} ${last} ${items.at(-1)}`;
}
