import { error, redirect } from '@sveltejs/kit';
import { getSupabase, requireAuth } from '$lib/auth.js';
import { rows } from '$lib/errors/api.js';
import { action, changedSomething, loaded, text } from '$lib/errors/forms.js';
import { presetRule } from '$lib/errors/rule-presets.js';
import { readChoices, readRule, save, test } from '$lib/errors/rule-store.js';

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:rule');
	const client = getSupabase(event);
	const empty = {
		rule: presetRule(null),
		links: /** @type {import('$lib/errors/rule-store.js').Link[]} */ ([]),
		channels: /** @type {any[]} */ ([]),
		found: true,
		told: ['saved', 'without-channels'].find((word) => event.url.searchParams.has(word)) ?? null
	};
	const data = await loaded(empty, async () => {
		const [choices, found] = await Promise.all([
			readChoices(client),
			readRule(client, event.params.id)
		]);
		return found ? { ...choices, ...found } : { found: false };
	});
	if (!data.found) error(404, 'There is no such rule, or you may not see it.');
	return data;
}

/** @type {import('./$types').Actions} */
export const actions = {
	save: save('save'),
	test,
	remove: action(
		async (form, client) => {
			const id = text(form, 'id');
			changedSomething(
				await rows(client.from('alert_rules').delete().eq('rule_id', id).select('rule_id'))
			);
			redirect(303, '/errors/rules');
		},
		{ name: 'remove' }
	)
};
