import { env } from '$env/dynamic/public';
import { fail, redirect } from '@sveltejs/kit';
import { getSupabase, getUser } from '$lib/auth.js';

/** @type {import('./$types').PageServerLoad} */
export function load(event) {
	if (getUser(event)) redirect(303, destination(event.url));
	// Set by `make dev`: the users of the demo data, as "alice@example.com=owner of Acme;…".
	const demo = (env.PUBLIC_DEMO_USERS ?? '')
		.split(';')
		.filter(Boolean)
		.map((entry) => {
			const [email, role] = entry.split('=');
			return { email, role };
		});
	return { demo, password: env.PUBLIC_DEMO_PASSWORD ?? '' };
}

/** @type {import('./$types').Actions} */
export const actions = {
	default: async (event) => {
		const form = await event.request.formData();
		const email = String(form.get('email') ?? '').trim();
		const password = String(form.get('password') ?? '');
		const { error } = await getSupabase(event).auth.signInWithPassword({ email, password });
		if (error) {
			const refused = error.status === 400;
			return fail(refused ? 400 : 503, {
				email,
				message: refused
					? 'There is no such user, or the password is another one.'
					: 'Signing in does not work at present. Try again in a moment.'
			});
		}
		redirect(303, destination(event.url));
	}
};

/**
 * Where to go after signing in: a path of this site, never another site.
 * @param {URL} url
 */
function destination(url) {
	const next = url.searchParams.get('next') ?? '';
	return /^\/(?![/\\])/.test(next) ? next : '/errors';
}
