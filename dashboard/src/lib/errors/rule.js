// Alert rules: the kinds there are, and what the form's fields mean.

/** @typedef {Record<string, any>} Rule Columns of alert_rules. */
/** @typedef {{ long_seconds: number | string, short_seconds: number | string, factor: number | string | null, level: string }} BurnWindow */

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

/** @type {[string, string][]} */
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

/**
 * What each part of a rule's form takes.
 * @typedef {object} PartProps
 * @property {Rule} first What the fields begin with.
 * @property {Rule} draft What they say now.
 * @property {Record<string, string>} problems By field.
 * @property {(column: string) => boolean} shows Whether the kind of rule has a column.
 */

/** Pairs of windows that a burn rate has at most. */
export const MAX_BURN_WINDOWS = 4;

/** Columns that a kind of rule does not have: they are neither shown nor sent. */
const ONLY_FOR = /** @type {Record<string, string[]>} */ ({
	min_runs: ['ratio', 'burn_rate'],
	no_data: ['ratio', 'burn_rate'],
	quiet_days: ['new_group'],
	compare_seconds: ['change'],
	min_count: ['change'],
	objective: ['burn_rate'],
	burn_windows: ['burn_rate'],
	absence_of: ['absence']
});

/** Whether a kind of rule has a column. @param {string} metric @param {string} column */
export function has(metric, column) {
	if (['warning', 'critical', 'resolve'].includes(column)) {
		return metric !== 'burn_rate' && !(metric === 'absence' && column === 'resolve');
	}
	return ONLY_FOR[column]?.includes(metric) ?? true;
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
		burn_windows: burnWindowsOf(form, number, length),
		absence_of: one('absence_of') || 'errors',
		flap_count: number('flap_count') ?? 0,
		flap_seconds: one('flap_seconds') === '' ? 3600 : length('flap_seconds'),
		title_template: one('title_template') || null,
		body_template: one('body_template') || null
	};
	// A form without the pairs, as one that was made for another kind, says nothing about them.
	if (!form.has('burn_long_0')) delete rule.burn_windows;
	for (const column of Object.keys(rule)) {
		if (has(metric, column)) continue;
		if (['warning', 'critical', 'resolve'].includes(column)) rule[column] = null;
		else delete rule[column];
	}
	return rule;
}

/**
 * The pairs of windows that were filled in; a row that is empty is none.
 * @param {FormData} form
 * @param {(name: string) => number | string | null} number
 * @param {(name: string) => number | string} length
 * @returns {BurnWindow[]}
 */
function burnWindowsOf(form, number, length) {
	return Array.from({ length: MAX_BURN_WINDOWS }, (_, i) => ({
		long_seconds: length(`burn_long_${i}`),
		short_seconds: length(`burn_short_${i}`),
		factor: number(`burn_factor_${i}`),
		level: form.get(`burn_level_${i}`) === 'warning' ? 'warning' : 'critical'
	})).filter((pair) => pair.long_seconds || pair.short_seconds || pair.factor);
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
