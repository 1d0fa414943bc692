// What a new rule begins with.

/** @typedef {import('./rule.js').Rule} Rule */

/** The table's default: fast burns are critical, a slow one warns. @type {import('./rule.js').BurnWindow[]} */
export const BURN_WINDOWS = [
	{ long_seconds: 3600, short_seconds: 300, factor: 14.4, level: 'critical' },
	{ long_seconds: 21_600, short_seconds: 1800, factor: 6, level: 'critical' },
	{ long_seconds: 259_200, short_seconds: 21_600, factor: 1, level: 'warning' }
];

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
		burn_windows: BURN_WINDOWS,
		absence_of: 'errors',
		flap_count: 0,
		flap_seconds: 3600,
		title_template: null,
		body_template: null
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
