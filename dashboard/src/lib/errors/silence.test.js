import { expect, it } from 'vitest';
import { phase, scope, typedAgain } from './silence.js';

const AT = Date.parse('2026-03-01T12:00:00Z');

it.each([
	['2026-03-01T11:00:00Z', '2026-03-01T12:00:00Z', 'over'],
	['2026-03-01T11:00:00Z', '2026-03-01T12:00:01Z', 'now'],
	['2026-03-01T12:00:00Z', '2026-03-01T13:00:00Z', 'now'],
	['2026-03-01T12:00:01Z', '2026-03-01T13:00:00Z', 'planned']
])('from %s to %s is %s', (starts_at, ends_at, expected) => {
	expect(phase({ starts_at, ends_at }, AT)).toBe(expected);
});

it('says what a silence is about', () => {
	const names = {
		project: (/** @type {string | null} */ id) => `project ${id}`,
		workflow: (/** @type {string | null} */ id) => `flow ${id}`
	};
	expect(scope({ project_id: null }, names)).toBe('all rules · all projects');
	expect(
		scope(
			{
				project_id: 'p',
				alert_rules: { name: 'Burst' },
				matchers: { source: ['worker', 'webhook'], workflow: 'w' }
			},
			names
		)
	).toBe('rule “Burst” · project p · worker or webhook · flow w');
});

it('shows again what was typed', () => {
	const form = { values: { name: ['Night'] } };
	expect(typedAgain(form, 'name')).toBe('Night');
	expect(typedAgain(form, 'reason')).toBe('');
	expect(typedAgain(null, 'name')).toBe('');
});
