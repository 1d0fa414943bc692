import { error } from '@sveltejs/kit';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @type {import('./$types').PageLoad} */
export function load({ params }) {
	if (!UUID.test(params.fingerprint)) error(404, 'There is no such page.');
	return { fingerprint: params.fingerprint };
}
