// What the server would refuse of a rule, asked while people type.

import { daemon } from './api.js';
import { Resource } from './resource.svelte.js';
import { FIELDS, named } from './rule-fields.js';

/** After the last key. */
const WAIT = 400;

/** The problems of a draft by field, as the tracker sees them; a moment behind what is typed. */
export class RuleCheck {
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	#planned;
	/** @type {Record<string, any>} */
	#rule = {};

	#asked = new Resource((signal) =>
		daemon('/api/alert-rules/check', { method: 'POST', body: { rule: this.#rule }, signal })
	);

	/**
	 * Messages by field; null before the first answer. A tracker that does not answer says nothing,
	 * because the database checks the same when the rule is saved.
	 * @type {Record<string, string> | null}
	 */
	problems = $derived.by(() => {
		const answer = this.#asked.data;
		if (!answer) return null;
		/** @type {Record<string, string>} */
		const found = {};
		for (const { field, message } of answer.errors)
			found[field.replace(/^rule\./, '')] ??= sentence(message);
		return named(found, FIELDS);
	});

	/** Asks, a moment after the last call. @param {Record<string, any>} rule */
	ask(rule) {
		this.#rule = rule;
		clearTimeout(this.#planned);
		this.#planned = setTimeout(this.#asked.load, WAIT);
	}

	stop = () => {
		clearTimeout(this.#planned);
		this.#asked.stop();
	};
}

/** The tracker's words as the database's look. @param {string} message */
function sentence(message) {
	const text = message.charAt(0).toUpperCase() + message.slice(1);
	return /[.!?]$/.test(text) ? text : `${text}.`;
}
