import { getSupabase, requireAuth } from '$lib/auth.js';
import { rows } from '$lib/errors/api.js';
import { loaded } from '$lib/errors/forms.js';

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:status');
	const client = getSupabase(event);
	return loaded({ status: /** @type {any} */ (null), readAt: Date.now() }, async () => ({
		status: await rows(client.rpc('tracker_status'))
	}));
}
