import { error } from '@sveltejs/kit';
import { getSupabase, requireAuth } from '$lib/auth.js';
import { ApiError, rows } from '$lib/errors/api.js';
import { action, loaded, required, text } from '$lib/errors/forms.js';
import { readPeople } from '$lib/errors/people.js';

/** Errors shown as evidence. */
const MAX_SAMPLES = 10;

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:incident');
	const client = getSupabase(event);
	const id = event.params.id;
	const empty = {
		incident: /** @type {import('$lib/errors/incident.js').Incident | null} */ (null),
		rule: /** @type {any} */ (null),
		events: /** @type {any[]} */ ([]),
		deliveries: /** @type {any[]} */ ([]),
		held: /** @type {any[]} */ ([]),
		samples: /** @type {any[]} */ ([]),
		titles: /** @type {Record<string, string>} */ ({}),
		people: /** @type {Record<string, string>} */ ({})
	};
	const data = await loaded(empty, async () => {
		const [found, events, deliveries, held] = await Promise.all([
			rows(client.from('alert_incidents').select('*').eq('incident_id', id)),
			rows(
				client
					.from('alert_incident_events')
					.select('*')
					.eq('incident_id', id)
					.order('at', { ascending: false })
					.order('event_id', { ascending: false })
					.limit(500)
			),
			rows(
				client
					.from('alert_notifications')
					.select(
						'notification_id, transition, reminder, state, attempts, attempt_log, next_attempt_at, sent_at, last_error, created_at, channel_id, alert_channels(name, kind)'
					)
					.eq('incident_id', id)
					.order('number', { ascending: false })
					.limit(500)
			),
			// Messages that a silence or quiet hours hold back; an older database has no such table.
			rows(
				client.from('alert_held_back').select('*, alert_channels(name)').eq('incident_id', id)
			).catch(() => [])
		]);
		const incident = found[0] ?? null;
		const rule = incident?.rule_id
			? (await rows(client.from('alert_rules').select('*').eq('rule_id', incident.rule_id)))[0]
			: null;
		const [people, samples, titles] = await Promise.all([
			readPeople(client, [
				incident?.acknowledged_by,
				...events.map((/** @type {any} */ one) => one.actor)
			]),
			readSamples(client, incident?.evidence?.samples ?? []),
			readTitles(client, incident?.evidence?.top_groups ?? [])
		]);
		return { incident, rule: rule ?? null, events, deliveries, held, people, samples, titles };
	});
	if (!data.problem && !data.incident) {
		error(404, 'There is no such incident, or you may not see it.');
	}
	return data;
}

/**
 * The errors that were the newest when the incident last changed, as far as they are still stored.
 * @param {import('@supabase/supabase-js').SupabaseClient} client
 * @param {string[]} ids
 * @returns {Promise<any[]>}
 */
async function readSamples(client, ids) {
	if (ids.length === 0) return [];
	return rows(
		client
			.from('error_metrics')
			.select('*')
			.in('error_id', ids.slice(0, MAX_SAMPLES))
			.order('timestamp', { ascending: false })
	);
}

/**
 * Names of groups that were too new to have one when the incident fired.
 * @param {import('@supabase/supabase-js').SupabaseClient} client
 * @param {{ fingerprint: string, title: string | null }[]} groups
 * @returns {Promise<Record<string, string>>}
 */
async function readTitles(client, groups) {
	const nameless = groups.filter((group) => !group.title).map((group) => group.fingerprint);
	if (nameless.length === 0) return {};
	const found = await rows(
		client.from('error_groups').select('fingerprint, title').in('fingerprint', nameless)
	);
	return Object.fromEntries(
		found.map((/** @type {any} */ group) => [group.fingerprint, group.title])
	);
}

/** @type {import('./$types').Actions} */
export const actions = {
	acknowledge: action(
		async (form, client) => {
			const note = text(form, 'note');
			await rows(
				client.rpc('acknowledge_incident', {
					incident_id: text(form, 'id'),
					note: note || null,
					undo: text(form, 'undo') === 'true'
				})
			);
		},
		{ name: 'acknowledge', fields: ['note'] }
	),
	silence: action(
		async (form, client) => {
			const length = text(form, 'length');
			const zone = text(form, 'time_zone') || 'UTC';
			/** @type {Record<string, unknown>} */
			const until =
				length === 'tomorrow'
					? { tomorrow_at: '09:00', time_zone: zone }
					: { seconds: Number(length) };
			if (length !== 'tomorrow' && !Number.isFinite(until.seconds)) {
				throw new ApiError('Choose for how long.', {
					status: 400,
					fields: { length: 'Choose for how long.' }
				});
			}
			await rows(
				client.rpc('silence_incident', {
					incident_id: text(form, 'id'),
					...until,
					reason: text(form, 'reason')
				})
			);
		},
		{ name: 'silence', fields: ['length', 'reason', 'time_zone'] }
	),
	comment: action(
		async (form, client) => {
			const note = required(form, 'note', 'Write something first.');
			await rows(client.rpc('comment_incident', { incident_id: text(form, 'id'), note }));
		},
		{ name: 'comment', fields: ['note'] }
	)
};
