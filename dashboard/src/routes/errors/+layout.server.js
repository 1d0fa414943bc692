import { getSupabase, requireAuth } from '$lib/auth.js';
import { rpc, toApiError } from '$lib/errors/api.js';
import { NO_TRACKER, readTracker } from '$lib/errors/state.svelte.js';

/** @typedef {import('$lib/errors/roles.js').Role} Role */

/**
 * Who is asking, what they may see, and whether the tracker runs: what all pages need.
 * @type {import('./$types').LayoutServerLoad}
 */
export async function load(event) {
	const { id, email } = requireAuth(event);
	const user = { id, email };
	const client = getSupabase(event);
	try {
		const scopes = await readScopes(client);
		const sees = scopes.roles.global !== null || scopes.projects.length > 0;
		const tracker = sees ? await readTracker(client) : NO_TRACKER;
		return { user, ...scopes, tracker, failed: null };
	} catch (error) {
		const roles = { global: /** @type {Role | null} */ (null), projects: {} };
		const failed = toApiError(error).message;
		return { user, roles, projects: [], workflows: [], tracker: NO_TRACKER, failed };
	}
}

/** @param {import('@supabase/supabase-js').SupabaseClient} client */
async function readScopes(client) {
	const scopes = await rpc('error_scopes', {}, { on: client });
	/** @type {Record<string, Role>} */
	const byProject = {};
	for (const { project_id, role } of scopes.projects) byProject[project_id] = role;
	return {
		roles: { global: /** @type {Role | null} */ (scopes.global_role), projects: byProject },
		/** @type {import('$lib/errors/state.svelte.js').Project[]} */
		projects: scopes.projects.map((/** @type {any} */ one) => ({
			id: one.project_id,
			name: one.name
		})),
		/** @type {import('$lib/errors/state.svelte.js').Workflow[]} */
		workflows: scopes.workflows.map((/** @type {any} */ one) => ({
			...one,
			id: one.workflow_id
		}))
	};
}
