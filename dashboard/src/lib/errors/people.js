// Names of the people behind ids, for time lines.

import { rows } from './api.js';

/**
 * Names by user id; ids without a name stay out. A failure costs the names only.
 * @param {import('@supabase/supabase-js').SupabaseClient} client
 * @param {(string | null | undefined)[]} ids
 * @returns {Promise<Record<string, string>>}
 */
export async function readPeople(client, ids) {
	const wanted = [...new Set(ids.filter((id) => typeof id === 'string'))];
	if (wanted.length === 0) return {};
	try {
		const found = await rows(client.rpc('error_people', { ids: wanted }));
		return Object.fromEntries(
			found.map((/** @type {{ user_id: string, name: string }} */ { user_id, name }) => [
				user_id,
				name
			])
		);
	} catch {
		return {};
	}
}

/**
 * Who did something, in words.
 * @param {Record<string, string>} people
 * @param {string | null | undefined} id
 * @param {string | null} [name] Of somebody who is no user here.
 */
export function who(people, id, name) {
	if (name) return name;
	if (!id) return 'the tracker';
	return people[id] ?? 'somebody';
}
