import { getSupabase, requireAuth } from '$lib/auth.js';
import { ApiError, rows } from '$lib/errors/api.js';
import { action, changedSomething, loaded, required, text } from '$lib/errors/forms.js';
import { configOf, VARIANTS } from '$lib/errors/channel.js';

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:channels');
	const client = getSupabase(event);
	const empty = {
		channels: /** @type {any[]} */ ([]),
		last: /** @type {Record<string, any>} */ ({})
	};
	return loaded(empty, async () => {
		const [channels, recent] = await Promise.all([
			rows(
				client
					.from('alert_channels')
					.select('*, alert_rule_channels(alert_rules(rule_id, name))')
					.order('name')
			),
			rows(
				client
					.from('alert_notifications')
					.select('channel_id, state, transition, sent_at, created_at, last_error, attempts')
					.order('created_at', { ascending: false })
					.limit(300)
			)
		]);
		/** @type {Record<string, any>} */
		const last = {};
		for (const one of recent) last[one.channel_id] ??= one;
		return { channels, last };
	});
}

const FIELDS = [
	'name',
	'kind',
	'project_id',
	'config_to',
	'config_url',
	'config_channel',
	'config_region',
	'config',
	'secret'
];

/** @type {import('./$types').Actions} */
export const actions = {
	create: action(
		async (form, client, call) => {
			const variant = text(form, 'kind');
			const made = await rows(
				client
					.from('alert_channels')
					.insert({
						project_id: text(form, 'project_id') || null,
						name: text(form, 'name'),
						kind: VARIANTS[variant]?.kind ?? variant,
						config: configOf(variant, form)
					})
					.select('channel_id')
			);
			const id = made[0].channel_id;
			const secret = text(form, 'secret');
			if (secret) await setSecret(call, id, variant, secret, true);
			return { created: id };
		},
		{ name: 'create', fields: FIELDS, keep: false }
	),
	change: action(
		async (form, client) => {
			const id = text(form, 'id');
			changedSomething(
				await rows(
					client
						.from('alert_channels')
						.update({ name: text(form, 'name'), config: configOf(text(form, 'kind'), form) })
						.eq('channel_id', id)
						.select('channel_id')
				)
			);
			return { target: id };
		},
		{ name: 'change', fields: FIELDS }
	),
	enable: action(
		async (form, client) => {
			const id = text(form, 'id');
			changedSomething(
				await rows(
					client
						.from('alert_channels')
						.update({ enabled: text(form, 'enabled') === 'true' })
						.eq('channel_id', id)
						.select('channel_id')
				)
			);
			return { target: id };
		},
		{ name: 'enable' }
	),
	secret: action(
		async (form, _client, call) => {
			const id = text(form, 'id');
			await setSecret(call, id, text(form, 'kind'), required(form, 'secret'), false);
			return { target: id };
		},
		{ name: 'secret', fields: FIELDS, keep: false }
	),
	forget: action(
		async (form, _client, call) => {
			const id = text(form, 'id');
			await call(`/api/alert-channels/${encodeURIComponent(id)}/secret`, { method: 'DELETE' });
			return { target: id };
		},
		{ name: 'forget' }
	),
	test: action(
		async (form, _client, call) => {
			const id = text(form, 'id');
			const answer = await call(`/api/alert-channels/${encodeURIComponent(id)}/test`, {
				method: 'POST'
			});
			return { target: id, result: { state: answer.state, detail: answer.detail } };
		},
		{ name: 'test' }
	),
	remove: action(
		async (form, client) => {
			changedSomething(
				await rows(
					client
						.from('alert_channels')
						.delete()
						.eq('channel_id', text(form, 'id'))
						.select('channel_id')
				)
			);
		},
		{ name: 'remove' }
	)
};

/**
 * Secrets go to the tracker, which encrypts them; nobody can read them back, this page neither.
 * @param {(path: string, options: { method: string, body: unknown }) => Promise<any>} call
 * @param {string} id
 * @param {string} variant
 * @param {string} secret
 * @param {boolean} isNew
 */
async function setSecret(call, id, variant, secret, isNew) {
	const field = VARIANTS[variant]?.secret?.field ?? 'secret';
	try {
		await call(`/api/alert-channels/${encodeURIComponent(id)}/secret`, {
			method: 'PUT',
			body: { [field]: secret }
		});
	} catch (cause) {
		const problem = cause instanceof ApiError ? cause : new ApiError(String(cause));
		const sentence = Object.values(problem.fields)[0] ?? problem.message;
		throw new ApiError(
			isNew ? `The channel was made, but its secret was not stored: ${sentence}` : sentence,
			{ status: problem.status, code: problem.code, fields: { secret: sentence } }
		);
	}
}
