// Filters of error events: what the URL says, and what the database is asked.

/**
 * @typedef {object} Filters
 * @property {string | null} project Id of a project, or `none` for errors that belong to none.
 * @property {string[]} sources
 * @property {string[]} types Classes (`execution`) or exact types (`execution.timeout`).
 * @property {string[]} severities
 * @property {string | null} workflow Id of a workflow.
 * @property {string} text In the message.
 */

export const SOURCES = ['worker', 'webhook', 'system'];
export const SEVERITIES = ['high', 'medium', 'low'];
export const TYPE_CLASSES = ['execution', 'input', 'system'];

/** Longest text that is searched for. */
const MAX_TEXT = 200;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TYPE = /^(system|execution|input)(\.[a-z0-9_-]+)*$/;

/** No filter at all. @returns {Filters} */
export function noFilters() {
	return { project: null, sources: [], types: [], severities: [], workflow: null, text: '' };
}

/**
 * The filters that a URL names; what is not valid is left out.
 * @param {URLSearchParams} params
 * @returns {Filters}
 */
export function parseFilters(params) {
	const project = params.get('project');
	const workflow = params.get('workflow');
	return {
		project: project && (project === 'none' || UUID.test(project)) ? project : null,
		sources: list(params, 'source').filter((value) => SOURCES.includes(value)),
		types: list(params, 'type').filter((value) => TYPE.test(value)),
		severities: list(params, 'severity').filter((value) => SEVERITIES.includes(value)),
		workflow: workflow && UUID.test(workflow) ? workflow : null,
		text: (params.get('q') ?? '').slice(0, MAX_TEXT)
	};
}

/**
 * Writes filters into a URL's parameters.
 * @param {URLSearchParams} params
 * @param {Filters} filters
 */
export function writeFilters(params, filters) {
	set(params, 'project', filters.project);
	set(params, 'source', filters.sources.join(','));
	set(params, 'type', filters.types.join(','));
	set(params, 'severity', filters.severities.join(','));
	set(params, 'workflow', filters.workflow);
	set(params, 'q', filters.text);
}

/**
 * The filters as the database's functions take them.
 * @param {Filters} filters
 * @returns {Record<string, unknown>}
 */
export function toQuery({ project, sources, types, severities, workflow, text }) {
	return {
		...(project ? { project } : {}),
		...(sources.length > 0 ? { sources } : {}),
		...(types.length > 0 ? { types } : {}),
		...(severities.length > 0 ? { severities } : {}),
		...(workflow ? { workflows: [workflow] } : {}),
		...(text ? { text } : {})
	};
}

/** How many filters are set. @param {Filters} filters */
export function countFilters(filters) {
	const { project, sources, types, severities, workflow, text } = filters;
	return [project, sources.length, types.length, severities.length, workflow, text].filter(Boolean)
		.length;
}

/**
 * Whether an event passes; the same decision as the database's.
 * @param {Filters} filters
 * @param {{ project_id: string | null, source: string, error_type: string, severity: string,
 *   workflow_id: string | null, message: string }} event
 */
export function passes(filters, event) {
	const { project, sources, types, severities, workflow, text } = filters;
	return (
		(project === null || (event.project_id ?? 'none') === project) &&
		(sources.length === 0 || sources.includes(event.source)) &&
		(types.length === 0 ||
			types.some((type) => event.error_type === type || event.error_type.split('.')[0] === type)) &&
		(severities.length === 0 || severities.includes(event.severity)) &&
		(workflow === null || event.workflow_id === workflow) &&
		(text === '' || event.message.toLowerCase().includes(text.toLowerCase()))
	);
}

/** @param {URLSearchParams} params @param {string} name */
function list(params, name) {
	const values = params
		.getAll(name)
		.flatMap((value) => value.split(','))
		.filter(Boolean);
	return [...new Set(values)];
}

/** @param {URLSearchParams} params @param {string} name @param {string | null} value */
function set(params, name, value) {
	if (value) params.set(name, value);
	else params.delete(name);
}
