// Reading and writing rules on the server, under the caller's rights.

import { redirect } from '@sveltejs/kit';
import { ApiError, rows } from './api.js';
import { action, changedSomething, text } from './forms.js';
import { FIELDS } from './rule-fields.js';
import { channelsOf, ruleOf } from './rule.js';
import { presetRule } from './rule-presets.js';

/** @typedef {import('@supabase/supabase-js').SupabaseClient} SupabaseClient */
/** @typedef {import('./rule.js').Rule} Rule */

/** What the form of a rule needs besides the rule. @param {SupabaseClient} client */
export async function readChoices(client) {
	const channels = await rows(
		client
			.from('alert_channels')
			.select('channel_id, project_id, name, kind, enabled, state')
			.order('name')
	);
	return { channels };
}

/**
 * A rule with its channels; null where there is none, or the caller may not see it.
 * @param {SupabaseClient} client
 * @param {string} id
 */
export async function readRule(client, id) {
	const [found, links] = await Promise.all([
		rows(client.from('alert_rules').select('*').eq('rule_id', id)),
		rows(client.from('alert_rule_channels').select('channel_id, min_level').eq('rule_id', id))
	]);
	return found[0]
		? { rule: /** @type {Rule} */ (found[0]), links: /** @type {Link[]} */ (links) }
		: null;
}

/** @typedef {{ channel_id: string, min_level: string }} Link */

/**
 * The rule that a new form begins with: a preset, or a copy.
 * @param {SupabaseClient} client
 * @param {URLSearchParams} params
 * @returns {Promise<{ rule: Rule, links: Link[] }>}
 */
export async function readDraft(client, params) {
	const from = params.get('from');
	const source = from ? await readRule(client, from) : null;
	if (source) return { rule: copyOf(source.rule), links: source.links };
	const rule = presetRule(params.get('preset'));
	// "Alert me about this" on other pages says which errors are meant.
	const list = (/** @type {string} */ name) => params.get(name)?.split(',').filter(Boolean);
	rule.project_id = params.get('project_id');
	rule.name = params.get('name')?.slice(0, 120) || rule.name;
	rule.error_types = list('error_types') ?? rule.error_types;
	rule.sources = list('sources') ?? rule.sources;
	rule.message_contains = params.get('message_contains');
	return { rule, links: [] };
}

/**
 * What a form shows of another rule. Without its id: a form with one changes that rule.
 * @param {Rule} rule
 * @returns {Rule}
 */
export function copyOf(rule) {
	const fields = FIELDS.filter((field) => field in rule).map((field) => [field, rule[field]]);
	return {
		...Object.fromEntries(fields),
		enabled: rule.enabled,
		name: `${rule.name} (copy)`.slice(0, 120)
	};
}

/** Saves a new rule, or changes one, and goes to it. @param {string} name */
export function save(name) {
	return action(
		async (form, client) => {
			const { project_id, ...columns } = ruleOf(form);
			const id = text(form, 'id');
			let rule = id;
			if (id) {
				const changed = await rows(
					client.from('alert_rules').update(columns).eq('rule_id', id).select('rule_id')
				);
				changedSomething(changed);
			} else {
				const made = await rows(
					client
						.from('alert_rules')
						.insert({ project_id, ...columns })
						.select('rule_id')
				);
				rule = made[0].rule_id;
			}
			let told = 'saved';
			try {
				await writeChannels(client, rule, channelsOf(form));
			} catch (cause) {
				// The rule itself is saved, so a new form must not make it twice.
				if (id) throw cause;
				told = 'without-channels';
			}
			redirect(303, `/errors/rules/${rule}?${told}`);
		},
		{ name, fields: FIELDS }
	);
}

/** @param {SupabaseClient} client @param {string} rule @param {Link[]} wanted */
async function writeChannels(client, rule, wanted) {
	const present = await rows(
		client.from('alert_rule_channels').select('channel_id, min_level').eq('rule_id', rule)
	);
	const kept = new Set(wanted.map((link) => link.channel_id));
	const gone = present.filter((/** @type {Link} */ link) => !kept.has(link.channel_id));
	for (const { channel_id } of gone) {
		await rows(
			client.from('alert_rule_channels').delete().eq('rule_id', rule).eq('channel_id', channel_id)
		);
	}
	for (const { channel_id, min_level } of wanted) {
		const old = present.find((/** @type {Link} */ link) => link.channel_id === channel_id);
		if (!old) {
			await rows(
				client.from('alert_rule_channels').insert({ rule_id: rule, channel_id, min_level })
			);
		} else if (old.min_level !== min_level) {
			await rows(
				client
					.from('alert_rule_channels')
					.update({ min_level })
					.eq('rule_id', rule)
					.eq('channel_id', channel_id)
			);
		}
	}
}

/** Sends a test message to the channels that are ticked; the form stays as it is. */
export const test = action(
	async (form, _client, call) => {
		const channels = channelsOf(form);
		if (channels.length === 0) {
			throw new ApiError('Tick the channels that the test is to go to.', { status: 400 });
		}
		const results = [];
		for (const { channel_id } of channels) {
			try {
				const answer = await call(`/api/alert-channels/${channel_id}/test`, { method: 'POST' });
				results.push({ channel_id, state: answer.state, detail: answer.detail });
			} catch (cause) {
				const message = cause instanceof Error ? cause.message : String(cause);
				results.push({ channel_id, state: 'failed', detail: message });
			}
		}
		/** @type {Record<string, string[]>} */
		const values = {};
		for (const [name, value] of form) (values[name] ??= []).push(String(value));
		return { results, values };
	},
	{ name: 'test', fields: FIELDS }
);
