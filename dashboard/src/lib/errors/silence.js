// Silences and quiet hours in words.

import { fieldValue } from './incident.js';

/** Whether a silence is in force. @param {{ starts_at: string, ends_at: string }} one @param {number} now */
export function phase(one, now) {
	if (Date.parse(one.ends_at) <= now) return 'over';
	return Date.parse(one.starts_at) > now ? 'planned' : 'now';
}

/**
 * What a silence, or quiet hours, are about.
 * @param {any} one
 * @param {{ project: (id: string | null) => string, workflow: (id: string | null) => string }} names
 */
export function scope(one, names) {
	const parts = [
		one.alert_rules?.name ? `rule “${one.alert_rules.name}”` : 'all rules',
		one.project_id ? names.project(one.project_id) : 'all projects'
	];
	for (const [field, value] of Object.entries(one.matchers ?? {})) {
		const values = Array.isArray(value) ? value : [value];
		parts.push(values.map((v) => fieldValue(field, v, names)).join(' or '));
	}
	return parts.join(' · ');
}

/** What was typed into a form that was refused; empty without one. @param {any} form @param {string} name @returns {string} */
export function typedAgain(form, name) {
	return form?.values?.[name]?.[0] ?? '';
}
