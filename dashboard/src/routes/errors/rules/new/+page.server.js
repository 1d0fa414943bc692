import { getSupabase, requireAuth } from '$lib/auth.js';
import { loaded } from '$lib/errors/forms.js';
import { presetRule } from '$lib/errors/rule-presets.js';
import { readChoices, readDraft, save, test } from '$lib/errors/rule-store.js';

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	const client = getSupabase(event);
	const empty = {
		rule: presetRule(null),
		links: /** @type {import('$lib/errors/rule-store.js').Link[]} */ ([]),
		channels: /** @type {any[]} */ ([])
	};
	return loaded(empty, async () => ({
		...(await readChoices(client)),
		...(await readDraft(client, event.url.searchParams))
	}));
}

/** @type {import('./$types').Actions} */
export const actions = { save: save('save'), test };
