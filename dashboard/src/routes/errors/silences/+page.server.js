import { getSupabase, requireAuth } from '$lib/auth.js';
import { ApiError, rows } from '$lib/errors/api.js';
import { action, changedSomething, loaded, text } from '$lib/errors/forms.js';
import { readPeople } from '$lib/errors/people.js';

/** Silences that ended longer ago are not listed. */
const PAST = 7 * 86_400_000;

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:silences');
	const client = getSupabase(event);
	const empty = {
		silences: /** @type {any[]} */ ([]),
		quiet: /** @type {any[]} */ ([]),
		rules: /** @type {{ rule_id: string, name: string, project_id: string | null }[]} */ ([]),
		people: /** @type {Record<string, string>} */ ({}),
		now: Date.now()
	};
	return loaded(empty, async () => {
		const since = new Date(Date.now() - PAST).toISOString();
		const [silences, quiet, rules] = await Promise.all([
			rows(
				client
					.from('alert_silences')
					.select('*, alert_rules(name)')
					.gte('ends_at', since)
					.order('ends_at', { ascending: false })
					.limit(500)
			),
			rows(client.from('alert_quiet_hours').select('*, alert_rules(name)').order('name')).catch(
				() => []
			),
			rows(client.from('alert_rules').select('rule_id, name, project_id').order('name'))
		]);
		const people = await readPeople(
			client,
			silences.map((/** @type {any} */ one) => one.created_by)
		);
		return { silences, quiet, rules, people };
	});
}

/** A wrong field, in the words of the database's own messages. @param {string} field @param {string} sentence */
const wrong = (field, sentence) =>
	new ApiError(sentence, { status: 400, fields: { [field]: sentence } });

/** What a `datetime-local` field says, in the zone that the form names. @param {string} local @param {number} ahead Minutes. */
function instant(local, ahead) {
	const at = Date.parse(`${local}Z`);
	return Number.isNaN(at) ? null : new Date(at + ahead * 60_000).toISOString();
}

/** @type {import('./$types').Actions} */
export const actions = {
	create: action(
		async (form, client) => {
			const ahead = Number(text(form, 'offset')) || 0;
			const length = Number(text(form, 'length'));
			const starts = text(form, 'starts_at') ? instant(text(form, 'starts_at'), ahead) : undefined;
			if (starts === null) throw wrong('starts_at', 'Must be a time.');
			let ends;
			if (text(form, 'length') === 'until') {
				ends = instant(text(form, 'ends_at'), ahead);
				if (!ends) throw wrong('ends_at', 'Say until when.');
			} else {
				if (!(length >= 60)) throw wrong('length', 'Choose for how long.');
				const from = starts ? Date.parse(starts) : Date.now();
				ends = new Date(from + length * 1000).toISOString();
			}
			/** @type {Record<string, string[]>} */
			const matchers = {};
			for (const name of ['source', 'severity', 'workflow']) {
				const values = form.getAll(name).map(String).filter(Boolean);
				if (values.length > 0) matchers[name] = values;
			}
			const types = text(form, 'error_type')
				.split(/[\s,]+/)
				.filter(Boolean);
			if (types.length > 0) matchers.error_type = types;
			await rows(
				client.from('alert_silences').insert({
					project_id: text(form, 'project_id') || null,
					rule_id: text(form, 'rule_id') || null,
					matchers,
					...(starts ? { starts_at: starts } : {}),
					ends_at: ends,
					reason: text(form, 'reason')
				})
			);
		},
		{
			name: 'create',
			fields: ['project_id', 'rule_id', 'matchers', 'starts_at', 'ends_at', 'length', 'reason']
		}
	),
	expire: action(
		async (form, client) => {
			await rows(client.rpc('expire_silence', { silence_id: text(form, 'id') }));
		},
		{ name: 'expire' }
	),
	quiet: action(
		async (form, client) => {
			await rows(
				client.from('alert_quiet_hours').insert({
					project_id: text(form, 'project_id') || null,
					rule_id: text(form, 'rule_id') || null,
					name: text(form, 'name'),
					kind: text(form, 'kind') || 'quiet',
					days: form.getAll('days').map(Number),
					starts: text(form, 'starts') || null,
					ends: text(form, 'ends') || null,
					time_zone: text(form, 'time_zone'),
					allow_critical: form.get('allow_critical') !== null
				})
			);
		},
		{
			name: 'quiet',
			fields: ['project_id', 'rule_id', 'name', 'kind', 'days', 'starts', 'ends', 'time_zone']
		}
	),
	toggle: action(
		async (form, client) => {
			changedSomething(
				await rows(
					client
						.from('alert_quiet_hours')
						.update({ enabled: text(form, 'enabled') === 'true' })
						.eq('quiet_hours_id', text(form, 'id'))
						.select('quiet_hours_id')
				)
			);
		},
		{ name: 'toggle' }
	),
	remove: action(
		async (form, client) => {
			changedSomething(
				await rows(
					client
						.from('alert_quiet_hours')
						.delete()
						.eq('quiet_hours_id', text(form, 'id'))
						.select('quiet_hours_id')
				)
			);
		},
		{ name: 'remove' }
	)
};
