import { redirect } from '@sveltejs/kit';
import { getSupabase } from '$lib/auth.js';

/** @type {import('./$types').RequestHandler} */
export async function POST(event) {
	await getSupabase(event).auth.signOut({ scope: 'local' });
	redirect(303, '/auth/login');
}
