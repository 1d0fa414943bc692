import { getSupabase, requireAuth } from '$lib/auth.js';
import { rows } from '$lib/errors/api.js';
import { parseFilters } from '$lib/errors/filters.js';
import { action, changedSomething, loaded, text } from '$lib/errors/forms.js';

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:rules');
	const client = getSupabase(event);
	const { project } = parseFilters(event.url.searchParams);
	const empty = {
		rules: /** @type {any[]} */ ([]),
		open: /** @type {Record<string, { count: number, level: string }>} */ ({})
	};
	return loaded(empty, async () => {
		let query = client
			.from('alert_rules')
			.select('*, alert_rule_channels(min_level, alert_channels(name, state, enabled))')
			.order('name');
		if (project === 'none') query = query.is('project_id', null);
		else if (project) query = query.or(`project_id.eq.${project},project_id.is.null`);
		const [rules, incidents] = await Promise.all([
			rows(query),
			rows(
				client.from('alert_incidents').select('rule_id, level').eq('state', 'firing').limit(1000)
			)
		]);
		/** @type {Record<string, { count: number, level: string }>} */
		const open = {};
		for (const { rule_id, level } of incidents) {
			const one = (open[rule_id] ??= { count: 0, level: 'warning' });
			one.count += 1;
			if (level === 'critical') one.level = 'critical';
		}
		return { rules, open };
	});
}

/** @type {import('./$types').Actions} */
export const actions = {
	enable: action(
		async (form, client) => {
			const enabled = text(form, 'enabled') === 'true';
			changedSomething(
				await rows(
					client
						.from('alert_rules')
						.update({ enabled })
						.eq('rule_id', text(form, 'id'))
						.select('rule_id')
				)
			);
		},
		{ name: 'enable' }
	)
};
