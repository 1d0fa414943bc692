import { getSupabase, requireAuth } from '$lib/auth.js';
import { rows, toApiError } from '$lib/errors/api.js';
import { readTracker } from '$lib/errors/state.svelte.js';

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
		const [context, tracker] = await Promise.all([readContext(client), readTracker(client)]);
		return { user, ...context, tracker, serverNow: Date.now(), failed: null };
	} catch (error) {
		return {
			user,
			roles: { global: null, projects: {} },
			projects: [],
			workflows: [],
			tracker: { heartbeat_at: null, complete_through: null, open_holes: 0, problems: [] },
			serverNow: Date.now(),
			failed: toApiError(error).message
		};
	}
}

/** @param {import('@supabase/supabase-js').SupabaseClient} client */
async function readContext(client) {
	const [global, viewer, responder, admin, projects, workflows] = await Promise.all([
		rows(client.rpc('error_global_role')),
		rows(client.rpc('error_project_ids', { at_least: 'viewer' })),
		rows(client.rpc('error_project_ids', { at_least: 'responder' })),
		rows(client.rpc('error_project_ids', { at_least: 'admin' })),
		rows(client.from('projects').select('id, name').order('name')),
		rows(
			client
				.from('workflow_definitions')
				.select('id, project_id, name, slug, version')
				.order('name')
				.limit(1000)
		)
	]);
	/** @type {Record<string, Role>} */
	const roles = {};
	for (const id of viewer) roles[id] = 'viewer';
	for (const id of responder) roles[id] = 'responder';
	for (const id of admin) roles[id] = 'admin';
	const known = new Map(projects.map((project) => [project.id, project]));
	return {
		roles: { global: /** @type {Role | null} */ (global), projects: roles },
		projects: Object.keys(roles).map((id) => known.get(id) ?? { id, name: id.slice(0, 8) }),
		workflows
	};
}
