import { json, redirect } from '@sveltejs/kit';

/** @typedef {import('@sveltejs/kit').RequestEvent} RequestEvent */
/** @typedef {import('@supabase/supabase-js').SupabaseClient} SupabaseClient */
/** @typedef {import('@supabase/supabase-js').User} User */
/** @typedef {{ supabase: SupabaseClient, user: User | null, getSession: () => Promise<import('@supabase/supabase-js').Session | null> }} Locals */

/**
 * What hooks.server.js put into the event.
 * @param {RequestEvent} event
 * @returns {Locals}
 */
function locals(event) {
	return /** @type {Locals} */ (event.locals);
}

/**
 * The signed-in user; others are sent to the sign-in page.
 * @param {RequestEvent} event
 * @returns {User}
 */
export function requireAuth(event) {
	const { user } = locals(event);
	if (!user) {
		const next = encodeURIComponent(event.url.pathname + event.url.search);
		redirect(303, `/auth/login?next=${next}`);
	}
	return user;
}

/**
 * The signed-in user, or null.
 * @param {RequestEvent} event
 */
export function getUser(event) {
	return locals(event).user;
}

/**
 * The client of this request.
 * @param {RequestEvent} event
 */
export function getSupabase(event) {
	return locals(event).supabase;
}

/** @param {RequestEvent} event */
export function isAuthenticated(event) {
	return locals(event).user !== null;
}

/**
 * The signed-in user, or the response that an API gives to others.
 * @param {RequestEvent} event
 * @returns {User | Response}
 */
export function requireApiAuth(event) {
	const unauthorized = { error: 'Unauthorized', message: 'Authentication required' };
	return locals(event).user ?? json(unauthorized, { status: 401 });
}
