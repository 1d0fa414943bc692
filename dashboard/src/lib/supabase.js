import { createBrowserClient, createServerClient } from '@supabase/ssr';
import { env } from '$env/dynamic/public';

// MeshHook's own file has the same functions and reads the same variables when it is built.
// This host reads them when it runs, so that one build serves any local stack.

/**
 * The client of a browser tab, under the signed-in user's token.
 * @returns {import('@supabase/supabase-js').SupabaseClient}
 */
export function createClient() {
	return createBrowserClient(url(), key());
}

/**
 * A client for one request, under the token in its cookies.
 * @param {import('@sveltejs/kit').RequestEvent} event
 * @returns {import('@supabase/supabase-js').SupabaseClient}
 */
export function createServerSupabaseClient(event) {
	return createServerClient(url(), key(), {
		cookies: {
			getAll: () => event.cookies.getAll(),
			setAll: (/** @type {any[]} */ cookies) => {
				for (const { name, value, options } of cookies) {
					event.cookies.set(name, value, { ...options, path: '/' });
				}
			}
		}
	});
}

function url() {
	return required('PUBLIC_SUPABASE_URL');
}

function key() {
	return required('PUBLIC_SUPABASE_ANON_KEY');
}

/** @param {`PUBLIC_${string}`} name */
function required(name) {
	const value = env[name];
	if (!value) throw new Error(`${name} is not set`);
	return value;
}
