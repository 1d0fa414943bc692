// Names of fields, and which of them a message is about.

/** Fields of the form of a rule, for messages beside them. */
export const FIELDS = [
	'name',
	'description',
	'project_id',
	'metric',
	'min_runs',
	'no_data',
	'sources',
	'error_types',
	'severities',
	'workflow_ids',
	'message_contains',
	'group_by',
	'window_seconds',
	'warning',
	'critical',
	'resolve',
	'pending_seconds',
	'keep_firing_seconds',
	'reminder_seconds',
	'quiet_days',
	'compare_seconds',
	'min_count',
	'objective',
	'burn_windows',
	'absence_of',
	'flap_count',
	'flap_seconds',
	'title_template',
	'body_template'
];

/**
 * Messages under the names of the form's fields: a constraint's name may say more than the field
 * (`group_by_of_a_ratio_must_be_project_or_workflow`).
 * @param {Record<string, string>} given
 * @param {string[]} fields
 */
export function named(given, fields) {
	/** @type {Record<string, string>} */
	const found = {};
	for (const [name, message] of Object.entries(given)) {
		const field =
			fields.find((one) => one === name) ??
			fields
				.filter((one) => name.startsWith(one))
				.sort((a, b) => b.length - a.length)
				.at(0);
		found[field ?? name] = message;
	}
	return found;
}
