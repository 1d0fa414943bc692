// Alert rules: what the form's fields mean, presets, and a rule as a plain sentence.

import { decimal, duration } from './format.js';

/** @typedef {Record<string, any>} Rule Columns of alert_rules. */

/** @type {Record<string, { label: string, unit: string, help: string, placeholder: string, step: string }>} */
export const METRICS = {
	count: {
		label: 'Number of errors',
		unit: 'errors in the window',
		help: 'Errors counted in the window.',
		placeholder: '20',
		step: 'any'
	},
	rate: {
		label: 'Errors per minute',
		unit: 'errors per minute',
		help: 'Errors in the window, divided by its minutes.',
		placeholder: '5',
		step: 'any'
	},
	ratio: {
		label: 'Failure ratio',
		unit: '% of runs',
		help: 'Errors divided by workflow runs that started in the window.',
		placeholder: '5',
		step: 'any'
	},
	new_group: {
		label: 'New error group',
		unit: 'errors of a new group',
		help: 'Errors of a group that was never seen before, or is back.',
		placeholder: '1',
		step: '1'
	},
	change: {
		label: 'Change',
		unit: '% more than before',
		help: 'The window against the same window a day or a week earlier.',
		placeholder: '200',
		step: 'any'
	},
	burn_rate: {
		label: 'Error budget burn rate',
		unit: '×',
		help: 'How fast the error budget of an objective is used up.',
		placeholder: '',
		step: 'any'
	},
	absence: {
		label: 'Nothing happens',
		unit: 'windows of silence',
		help: 'No event, or no workflow run, for a whole window.',
		placeholder: '1',
		step: '1'
	}
};

export const GROUP_FIELDS = [
	['project', 'Project'],
	['workflow', 'Workflow'],
	['source', 'Source'],
	['error_type', 'Error type'],
	['severity', 'Severity'],
	['fingerprint', 'Error group']
];

export const UNITS = /** @type {const} */ ([
	['60', 'minutes'],
	['3600', 'hours'],
	['86400', 'days']
]);

/** Columns that a kind of rule does not have: they are neither shown nor sent. */
const ONLY_FOR = /** @type {Record<string, string[]>} */ ({
	min_runs: ['ratio', 'burn_rate'],
	no_data: ['ratio', 'burn_rate'],
	quiet_days: ['new_group'],
	compare_seconds: ['change'],
	min_count: ['change'],
	objective: ['burn_rate'],
	absence_of: ['absence']
});

/** Whether a kind of rule has a column. @param {string} metric @param {string} column */
export function has(metric, column) {
	if (['warning', 'critical', 'resolve'].includes(column)) {
		return metric !== 'burn_rate' && !(metric === 'absence' && column === 'resolve');
	}
	return ONLY_FOR[column]?.includes(metric) ?? true;
}

/** @returns {Rule} */
export function emptyRule() {
	return {
		project_id: null,
		name: '',
		description: '',
		enabled: true,
		metric: 'count',
		min_runs: 20,
		sources: [],
		error_types: [],
		severities: [],
		workflow_ids: [],
		message_contains: null,
		group_by: [],
		window_seconds: 600,
		warning: 50,
		critical: null,
		resolve: null,
		pending_seconds: 0,
		keep_firing_seconds: 0,
		reminder_seconds: 14400,
		no_data: 'keep',
		quiet_days: 0,
		compare_seconds: 86400,
		min_count: 10,
		objective: 0.995,
		absence_of: 'errors',
		flap_count: 0,
		flap_seconds: 3600
	};
}

/**
 * What people ask for most, most first.
 * @type {{ id: string, label: string, help: string, rule: Rule }[]}
 */
export const PRESETS = [
	{
		id: 'count',
		label: 'N errors in M minutes',
		help: '50 errors in 10 minutes',
		rule: { metric: 'count', window_seconds: 600, warning: 50, name: 'Too many errors' }
	},
	{
		id: 'ratio',
		label: 'Share of runs that fail',
		help: 'More than 5 % of runs in 10 minutes',
		rule: {
			metric: 'ratio',
			window_seconds: 600,
			warning: 0.05,
			critical: 0.2,
			error_types: ['execution'],
			group_by: ['workflow'],
			name: 'Workflow runs fail'
		}
	},
	{
		id: 'new_group',
		label: 'A new kind of error',
		help: 'A group that was never seen before',
		rule: {
			metric: 'new_group',
			window_seconds: 300,
			warning: 1,
			group_by: ['fingerprint'],
			quiet_days: 7,
			name: 'New error'
		}
	},
	{
		id: 'severe',
		label: 'Any severe error',
		help: '1 error of severity high',
		rule: {
			metric: 'count',
			window_seconds: 60,
			warning: 1,
			severities: ['high'],
			group_by: ['workflow'],
			name: 'Severe error'
		}
	},
	{
		id: 'change',
		label: 'Far more than usual',
		help: '200 % more than a day earlier',
		rule: {
			metric: 'change',
			window_seconds: 3600,
			warning: 200,
			min_count: 20,
			name: 'More errors than usual'
		}
	},
	{
		id: 'slo',
		label: 'Objective (SLO)',
		help: '99.5 % of runs without error in 30 days',
		rule: {
			metric: 'burn_rate',
			window_seconds: 2_592_000,
			warning: null,
			objective: 0.995,
			name: 'Error budget burns'
		}
	},
	{
		id: 'absence',
		label: 'Nothing happens any more',
		help: 'No run started for an hour',
		rule: {
			metric: 'absence',
			window_seconds: 3600,
			warning: 1,
			absence_of: 'runs',
			name: 'No runs'
		}
	}
];

/** The rule that a preset stands for. @param {string | null} id @returns {Rule} */
export function presetRule(id) {
	const preset = PRESETS.find((one) => one.id === id) ?? PRESETS[0];
	return { ...emptyRule(), ...preset.rule };
}

/** Thresholds of a ratio are shown as percent. @param {string} metric @param {number | null} value */
export function toShown(metric, value) {
	if (value == null) return '';
	return String(metric === 'ratio' ? Number((value * 100).toPrecision(12)) : value);
}

/**
 * A number of seconds as a number and a unit, the largest unit that fits.
 * @param {number | null | undefined} seconds
 * @returns {[string, string]}
 */
export function toLength(seconds) {
	const value = seconds ?? 0;
	const unit = ['86400', '3600', '60'].find((one) => value > 0 && value % Number(one) === 0);
	return unit ? [String(value / Number(unit)), unit] : [String(value / 60), '60'];
}

/**
 * The columns that a form's fields say. What is no number goes on as it is, for the server to refuse
 * it with its reason.
 * @param {FormData} form
 * @returns {Rule}
 */
export function ruleOf(form) {
	const one = (/** @type {string} */ name) => String(form.get(name) ?? '').trim();
	const all = (/** @type {string} */ name) => form.getAll(name).map(String).filter(Boolean);
	const metric = one('metric') || 'count';
	const number = (/** @type {string} */ name) => {
		const text = one(name).replace(',', '.');
		return text === '' ? null : Number.isFinite(Number(text)) ? Number(text) : text;
	};
	const threshold = (/** @type {string} */ name) => {
		const value = number(name);
		return metric === 'ratio' && typeof value === 'number'
			? Number((value / 100).toPrecision(12))
			: value;
	};
	const length = (/** @type {string} */ name) => {
		const value = number(name);
		if (typeof value !== 'number') return value ?? 0;
		return Math.round(value * Number(one(`${name}_unit`) || 60));
	};
	/** @type {Rule} */
	const rule = {
		project_id: one('project_id') || null,
		name: one('name'),
		description: one('description'),
		enabled: form.get('enabled') !== null,
		metric,
		sources: all('sources'),
		error_types: one('error_types')
			.split(/[\s,]+/)
			.filter(Boolean),
		severities: all('severities'),
		workflow_ids: all('workflow_ids'),
		message_contains: one('message_contains') || null,
		group_by: all('group_by'),
		window_seconds: length('window_seconds'),
		warning: threshold('warning'),
		critical: threshold('critical'),
		resolve: threshold('resolve'),
		pending_seconds: length('pending_seconds'),
		keep_firing_seconds: length('keep_firing_seconds'),
		reminder_seconds: length('reminder_seconds'),
		min_runs: number('min_runs') ?? 20,
		no_data: one('no_data') || 'keep',
		quiet_days: number('quiet_days') ?? 0,
		compare_seconds: Number(one('compare_seconds') || 86400),
		min_count: number('min_count') ?? 10,
		objective: percentOf(number('objective')),
		absence_of: one('absence_of') || 'errors'
	};
	for (const column of Object.keys(rule)) {
		if (has(metric, column)) continue;
		if (['warning', 'critical', 'resolve'].includes(column)) rule[column] = null;
		else delete rule[column];
	}
	return rule;
}

/** @param {number | string | null} value */
function percentOf(value) {
	return typeof value === 'number' ? Number((value / 100).toPrecision(12)) : value;
}

/**
 * Channels that a form's fields say.
 * @param {FormData} form
 * @returns {{ channel_id: string, min_level: string }[]}
 */
export function channelsOf(form) {
	return form
		.getAll('channels')
		.map(String)
		.map((channel_id) => ({
			channel_id,
			min_level: form.get(`level_${channel_id}`) === 'critical' ? 'critical' : 'warning'
		}));
}

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
