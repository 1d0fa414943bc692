/** @type {import('./$types').LayoutServerLoad} */
export async function load(event) {
	const locals = /** @type {import('$lib/auth.js').Locals} */ (event.locals);
	const { user } = locals;
	// The page needs to know who is signed in, not their tokens.
	return { session: user ? { user: { id: user.id, email: user.email } } : null };
}
