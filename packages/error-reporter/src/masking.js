import { anchored } from './anchors.js';
import { masking as table } from './tables.js';

// The database masks whatever arrives; this masks the same before anything leaves the process or
// reaches a disk. The rules are the database's own, and both pass the same vectors.

/**
 * @typedef {object} MaskingTable
 * @property {string} about
 * @property {string[]} key_contains
 * @property {string[]} key_ends
 * @property {string[]} key_is
 * @property {{ pattern: string, needles: string[], replacement: string, note: string }[]} values
 */

const MASK = '[masked]';
const MAX_DEPTH = 24;

/**
 * Postgres's notation differs in `\m` and `\M`, for both ends of a word, and in `(?c)` at the
 * beginning, which makes a pattern case-sensitive.
 * @param {string} pattern @param {string} flags
 */
function regex(pattern, flags) {
	const exact = pattern.startsWith('(?c)');
	const source = (exact ? pattern.slice(4) : pattern).replace(/\\[mM]/g, '\\b');
	return new RegExp(source, exact ? flags : `${flags}i`);
}

const KEYS = new RegExp(
	[
		...table.key_contains,
		...table.key_ends.map((word) => `${word}$`),
		...table.key_is.map((word) => `^${word}$`)
	].join('|')
);

/**
 * `apply` and `plainly` give the same; `apply` takes linear time.
 * @type {{ needles: string[], apply: (text: string) => string, plainly: (text: string) => string }[]}
 */
export const RULES = table.values.map(({ pattern, needles, replacement, note }) => {
	const replace = replacement.replaceAll('$', '$$$$').replace(/\\([1-9])/g, '$$$1');
	const search = regex(pattern, 'gs');
	const plainly = (/** @type {string} */ text) => text.replace(search, replace);
	return { needles, apply: anchored(note, regex(pattern, 'ys'), replace) ?? plainly, plainly };
});

// In one piece, or in the groups that are printed on cards; ids in other groups are none.
const CARD =
	/(?<![0-9a-z]|[0-9]\.)(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9a-z])/gi;
const MAYBE_CARD = /[2-6](?:[ -]?[0-9]){12}/;

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

/** @param {string[]} needles @param {string} lower */
function mayApply(needles, lower) {
	return needles.length === 0 || needles.some((needle) => lower.includes(needle));
}

/**
 * @param {string} text
 * @returns {string} the text without its sensitive parts
 */
export function maskText(text) {
	const lower = text.toLowerCase();
	// Looked for in what was given: a replacement never makes a later rule unnecessary.
	for (const { needles, apply } of RULES) {
		if (mayApply(needles, lower)) text = apply(text);
	}
	if (!MAYBE_CARD.test(lower)) return text;
	for (const found of text.match(CARD) ?? []) {
		if (isCardNumber(found.replace(/[ -]/g, ''))) text = text.replaceAll(found, MASK);
	}
	return text;
}

/** @param {string} text */
const normal = (text) => text.toLowerCase().replace(/[_\-. ]/g, '');

/** @type {Map<string, boolean>} */
const knownKeys = new Map();

/** @param {string} key */
export function isSensitiveKey(key) {
	let sensitive = knownKeys.get(key);
	if (sensitive === undefined) {
		sensitive = KEYS.test(normal(key));
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
	// Nobody reads deeper than this, and a hostile document must not exhaust the stack.
	if (depth >= MAX_DEPTH) return mayBeSensitive(value) ? '[masked: nested too deep]' : value;
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

/** @param {any} value */
function mayBeSensitive(value) {
	const lower = JSON.stringify(value).toLowerCase();
	const words = [...table.key_contains, ...table.key_ends, ...table.key_is];
	return (
		MAYBE_CARD.test(lower) ||
		/\\u0000|\\ud[89a-f]/.test(lower) ||
		RULES.some(({ needles }) => mayApply(needles, lower)) ||
		words.some((word) => normal(lower).includes(word))
	);
}

/** Short words cannot hold anything that a rule would find. */
/** @param {string} key */
function maskKey(key) {
	return /^[a-z0-9_]{1,12}$/i.test(key) ? key : maskText(storable(key));
}

/**
 * @param {string} text
 * @returns {string} the text as Postgres can store it in jsonb
 */
export function storable(text) {
	return (text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text).toWellFormed();
}
