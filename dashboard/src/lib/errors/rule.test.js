import { describe, expect, it } from 'vitest';
import { channelsOf, has, ruleOf, toLength, toShown } from './rule.js';
import { BURN_WINDOWS, presetRule, PRESETS } from './rule-presets.js';
import { sentence } from './rule-sentence.js';

/** @param {Record<string, string | string[]>} fields */
function form(fields) {
	const data = new FormData();
	for (const [name, value] of Object.entries(fields)) {
		for (const one of [value].flat()) data.append(name, one);
	}
	return data;
}

describe('ruleOf', () => {
	it.each([
		[
			{ metric: 'count', warning: '50', window_seconds: '10', window_seconds_unit: '60' },
			{ warning: 50, critical: null, window_seconds: 600 }
		],
		[
			{ metric: 'ratio', warning: '7,5', window_seconds: '1', window_seconds_unit: '3600' },
			{ warning: 0.075, window_seconds: 3600 }
		],
		[
			{ metric: 'burn_rate', warning: '5', objective: '99.5' },
			{ warning: null, critical: null, resolve: null, objective: 0.995 }
		],
		[
			{ metric: 'absence', warning: '1', resolve: '3' },
			{ warning: 1, resolve: null, absence_of: 'errors' }
		],
		[{ warning: 'many' }, { metric: 'count', warning: 'many' }],
		[
			{ error_types: 'execution, system.db  input' },
			{ error_types: ['execution', 'system.db', 'input'] }
		],
		[
			{ severities: ['high', 'low'], enabled: 'on' },
			{ severities: ['high', 'low'], enabled: true }
		]
	])('%j', (fields, expected) => {
		expect(ruleOf(form(fields))).toMatchObject(expected);
	});

	it('reads the pairs of windows of a burn rate, without empty ones', () => {
		/** @type {Record<string, string>} */
		const fields = { metric: 'burn_rate', objective: '99.5' };
		for (const [i, [long, short, factor, level]] of [
			['1', '5', '14,4', 'critical'],
			['', '', '', 'critical'],
			['72', '360', '1', 'warning'],
			['many', '5', '2', 'warning']
		].entries()) {
			fields[`burn_long_${i}`] = long;
			fields[`burn_long_${i}_unit`] = '3600';
			fields[`burn_short_${i}`] = short;
			fields[`burn_short_${i}_unit`] = '60';
			fields[`burn_factor_${i}`] = factor;
			fields[`burn_level_${i}`] = level;
		}
		expect(ruleOf(form(fields)).burn_windows).toEqual([
			BURN_WINDOWS[0],
			BURN_WINDOWS[2],
			{ long_seconds: 'many', short_seconds: 300, factor: 2, level: 'warning' }
		]);
		expect(ruleOf(form({ ...fields, metric: 'ratio' }))).not.toHaveProperty('burn_windows');
		expect(ruleOf(form({ metric: 'burn_rate' }))).not.toHaveProperty('burn_windows');
	});

	it('reads flapping and the own words of a message', () => {
		const typed = { flap_count: '5', flap_seconds: '2', flap_seconds_unit: '3600' };
		const words = { title_template: ' {{ rule.name }} ', body_template: '' };
		expect(ruleOf(form({ ...typed, ...words }))).toMatchObject({
			flap_count: 5,
			flap_seconds: 7200,
			title_template: '{{ rule.name }}',
			body_template: null
		});
		expect(ruleOf(form({}))).toMatchObject({ flap_count: 0, flap_seconds: 3600 });
	});

	it('sends only what a kind of rule has', () => {
		const rule = ruleOf(form({ metric: 'count', objective: '99', min_runs: '5', quiet_days: '3' }));
		for (const column of ['objective', 'min_runs', 'quiet_days', 'absence_of', 'compare_seconds'])
			expect(rule).not.toHaveProperty(column);
		expect(ruleOf(form({ metric: 'ratio', min_runs: '5' })).min_runs).toBe(5);
	});
});

it('reads channels with their levels', () => {
	expect(
		channelsOf(form({ channels: ['a', 'b'], level_a: 'critical', level_c: 'critical' }))
	).toEqual([
		{ channel_id: 'a', min_level: 'critical' },
		{ channel_id: 'b', min_level: 'warning' }
	]);
});

it.each([
	[0, '0', '60'],
	[60, '1', '60'],
	[5400, '90', '60'],
	[7200, '2', '3600'],
	[604_800, '7', '86400']
])('%d seconds are %s times %s', (seconds, number, unit) => {
	expect(toLength(seconds)).toEqual([number, unit]);
});

it('shows a ratio in percent', () => {
	expect([toShown('ratio', 0.07), toShown('count', 7), toShown('ratio', null)]).toEqual([
		'7',
		'7',
		''
	]);
});

describe('sentence', () => {
	const names = {
		channels: ['#ops'],
		project: 'Acme',
		workflow: (/** @type {string} */ id) => `flow ${id}`
	};
	it.each([
		[
			'count',
			{},
			'When there are 50 or more errors in 10 min in Acme, tell #ops, again every 4 h until somebody acknowledges.'
		],
		[
			'ratio',
			{ reminder_seconds: 0 },
			'When errors of type execution make up 5 % (critical: 20 %) or more of workflow runs over 10 min (with at least 20 runs), counted per workflow in Acme, tell #ops, once.'
		],
		[
			'severe',
			{ workflow_ids: ['1'], pending_seconds: 120, reminder_seconds: 0 },
			'When there are 1 or more high errors of flow 1 in 1 min, counted per workflow in Acme, for 2 min, tell #ops, once.'
		],
		[
			'absence',
			{ reminder_seconds: 0 },
			'When there is no workflow run for 1 h in Acme, tell #ops, once.'
		]
	])('of %s', (preset, change, expected) => {
		expect(sentence({ ...presetRule(preset), ...change }, names)).toBe(expected);
	});

	it('says that nobody is told', () => {
		expect(sentence(presetRule('count'), { ...names, channels: [] })).toMatch(/, tell nobody\.$/);
	});
});

it('has presets that only use what their kind has', () => {
	for (const { rule } of PRESETS) {
		for (const [column, value] of Object.entries(rule)) {
			if (value !== null) expect(has(rule.metric, column), `${rule.metric} ${column}`).toBe(true);
		}
	}
});
