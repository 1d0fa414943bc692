import { createServerSupabaseClient } from '$lib/supabase.js';

/** @type {import('@sveltejs/kit').Handle} */
export async function handle({ event, resolve }) {
	const locals = /** @type {import('$lib/auth.js').Locals} */ (event.locals);
	locals.supabase = createServerSupabaseClient(event);
	// The server is asked, because a cookie alone proves nothing.
	const { data } = await locals.supabase.auth.getUser();
	locals.user = data.user;
	locals.getSession = async () => {
		if (!locals.user) return null;
		const { data } = await locals.supabase.auth.getSession();
		return data.session;
	};
	return resolve(event, {
		filterSerializedResponseHeaders: (name) => name === 'content-range'
	});
}
