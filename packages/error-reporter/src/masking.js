import { masking as table } from './tables.js';

// The database masks whatever arrives; this masks the same before anything leaves the process or
// reaches a disk. The rules are the database's own, and both pass the same vectors.

/**
 * @typedef {object} MaskingTable
 * @property {string} about
 * @property {string[]} key_contains
 * @property {string[]} key_ends
 * @property {string[]} key_is
 * @property {{ pattern: string, replacement: string, note: string }[]} values
 */

const MASK = '[masked]';
const MAX_DEPTH = 24;

/** @param {string} pattern Postgres's notation, of which the rules use `\m` and `\M` */
function regex(pattern, flags = 'gis') {
	return new RegExp(pattern.replace(/\\[mM]/g, '\\b'), flags);
}

const KEYS = new RegExp(
	[
		...table.key_contains,
		...table.key_ends.map((word) => `${word}$`),
		...table.key_is.map((word) => `^${word}$`)
	].join('|')
);

/** @typedef {{ literal: string, run: RegExp, first: RegExp }} Anchor */

/** @type {Anchor} */
const ADDRESS = { literal: '@', run: /[a-z0-9._%+-]/i, first: /[a-z0-9_]/i };
/** @type {Anchor} */
const SCHEME = { literal: '://', run: /[a-z0-9+.-]/i, first: /[a-z]/i };

/**
 * How to apply the known rules quickly. `needs`: lower-case texts of which each match holds one.
 * `anchor`: rules that begin with a run of characters before a fixed text would try that run from
 * each of its characters, in quadratic time, on text that an attacker may have written; for them the
 * fixed text is looked for first. A rule that is not listed here is applied as it stands.
 * @type {Record<string, { needs: string[], anchor?: Anchor }>}
 */
const SHORTCUTS = {
	'PEM blocks': { needs: ['-----begin '] },
	'credentials in a URL': { needs: ['://'], anchor: SCHEME },
	'passwords with a slash in a URL': { needs: ['://'], anchor: SCHEME },
	'JSON web tokens': { needs: ['eyj'] },
	'authorization schemes': { needs: ['bearer', 'basic'] },
	'Supabase secret keys': { needs: ['sb_secret_'] },
	'AWS access keys': { needs: ['akia', 'asia', 'abia', 'acca'] },
	'GitHub tokens': { needs: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat_'] },
	'Slack tokens': { needs: ['xox', 'xapp-'] },
	'Slack webhook addresses': { needs: ['hooks.slack.com/'] },
	'Stripe and webhook keys': { needs: ['k_live_', 'k_test_', 'whsec_'] },
	'AI provider keys': { needs: ['sk-'] },
	'Google API keys': { needs: ['aiza'] },
	'e-mail addresses': { needs: ['@'], anchor: ADDRESS },
	'name=value pairs in text': { needs: ['passw', 'passphrase', 'secret', 'api', 'token'] }
};

/** @type {{ needs: string[], apply: (text: string) => string, plainly: (text: string) => string }[]} */
export const RULES = table.values.map(({ pattern, replacement, note }) => {
	const replace = replacement.replaceAll('$', '$$$$').replace(/\\([1-9])/g, '$$$1');
	const search = regex(pattern);
	const plainly = (/** @type {string} */ text) => text.replace(search, replace);
	const { needs = [], anchor = undefined } = SHORTCUTS[note] ?? {};
	if (anchor === undefined) return { needs, apply: plainly, plainly };
	const sticky = regex(pattern, 'yis');
	return { needs, apply: (text) => replaceAnchored(text, anchor, sticky, replace), plainly };
});

/**
 * @param {string} text
 * @param {Anchor} anchor
 * @param {RegExp} sticky
 * @param {string} replacement
 */
export function replaceAnchored(text, anchor, sticky, replacement) {
	let at = text.indexOf(anchor.literal);
	if (at < 0) return text;
	let done = 0;
	let result = '';
	for (; at >= 0; at = text.indexOf(anchor.literal, Math.max(at + 1, done))) {
		// All three rules need an "@" behind the beginning; without one there is nothing to find.
		if (text.indexOf('@', at) < 0) break;
		let start = at;
		while (start > done && anchor.run.test(text[start - 1])) start--;
		while (start < at && !(anchor.first.test(text[start]) && isWordStart(text, start))) start++;
		if (start === at) continue;
		sticky.lastIndex = start;
		const found = sticky.exec(text);
		if (found === null) continue;
		result +=
			text.slice(done, start) +
			replacement.replace(/\$([1-9$])/g, (_, n) => (n === '$' ? '$' : (found[Number(n)] ?? '')));
		done = start + found[0].length;
	}
	return result + text.slice(done);
}

/** @param {string} text @param {number} index */
function isWordStart(text, index) {
	return index === 0 || !/\w/.test(text[index - 1]);
}

const CARD = /\b[2-6](?:[ -]?[0-9]){12,18}\b/g;

/**
 * Issuers' numbers begin with 2 to 6, which keeps times in milliseconds out of it; the check digit
 * is that of ISO/IEC 7812-1, annex B.
 * @param {string} digits
 */
export function isCardNumber(digits) {
	if (!/^[2-6][0-9]{12,18}$/.test(digits)) return false;
	let sum = 0;
	for (let i = 0; i < digits.length; i++) {
		const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
		sum += i % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit;
	}
	return sum % 10 === 0;
}

/**
 * @param {string} text
 * @returns {string} the text without its sensitive parts
 */
export function maskText(text) {
	const lower = text.toLowerCase();
	// No replacement adds what another rule looks for, so the first text decides which rules apply.
	for (const { needs, apply } of RULES) {
		if (needs.length === 0 || needs.some((literal) => lower.includes(literal))) text = apply(text);
	}
	return text.replace(CARD, (found) => (isCardNumber(found.replace(/[ -]/g, '')) ? MASK : found));
}

/** @type {Map<string, boolean>} */
const knownKeys = new Map();

/** @param {string} key */
export function isSensitiveKey(key) {
	let sensitive = knownKeys.get(key);
	if (sensitive === undefined) {
		sensitive = KEYS.test(key.toLowerCase().replace(/[_\-. ]/g, ''));
		// Keys repeat from event to event; those that do not must not fill the memory.
		if (knownKeys.size < 2000 && key.length <= 64) knownKeys.set(key, sensitive);
	}
	return sensitive;
}

/**
 * A JSON document without its sensitive parts: values of sensitive keys at any depth, and sensitive
 * texts anywhere, also in keys. Texts also lose what Postgres cannot store: NUL and half a
 * surrogate pair.
 * @param {any} value plain JSON data
 * @param {number} [depth]
 * @returns {any}
 */
export function maskDocument(value, depth = 0) {
	if (typeof value === 'string') return maskText(storable(value));
	if (typeof value === 'number') return isCardNumber(String(value)) ? MASK : value;
	if (value === null || typeof value !== 'object') return value;
	if (depth >= MAX_DEPTH) return '[masked: nested too deep]';
	if (Array.isArray(value)) return value.map((element) => maskDocument(element, depth + 1));
	/** @type {[string, any][]} */
	const fields = [];
	for (const key of Object.keys(value)) {
		const field = value[key];
		const masked =
			field === null || field === ''
				? field
				: isSensitiveKey(key)
					? MASK
					: maskDocument(field, depth + 1);
		fields.push([maskKey(key), masked]);
	}
	return Object.fromEntries(fields);
}

/** Short words cannot hold anything that a rule would find. */
/** @param {string} key */
function maskKey(key) {
	return /^[a-z0-9_-]{1,12}$/i.test(key) ? key : maskText(storable(key));
}

/**
 * @param {string} text
 * @returns {string} the text as Postgres can store it in jsonb
 */
export function storable(text) {
	return (text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text).toWellFormed();
}
