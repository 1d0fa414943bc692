// Metadata of an error as a tree that a viewer can fold. The text in it is untrusted.

/** What the database puts where a secret was. */
export const MASK = '[masked]';

/**
 * @typedef {object} Node
 * @property {string} key
 * @property {'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'} kind
 * @property {string} text Of a leaf; of others what is in it, in short.
 * @property {Node[]} children
 * @property {number} left Children that are not listed.
 */

/** Children listed, and levels followed. */
const WIDEST = 200;
const DEEPEST = 12;

/**
 * @param {unknown} value
 * @param {string} [key]
 * @param {number} [depth]
 * @returns {Node}
 */
export function toTree(value, key = '', depth = 0) {
	const leaf = { key, children: [], left: 0 };
	if (value === null || value === undefined) return { ...leaf, kind: 'null', text: 'null' };
	if (typeof value === 'string') return { ...leaf, kind: 'string', text: value };
	if (typeof value === 'number') return { ...leaf, kind: 'number', text: String(value) };
	if (typeof value === 'boolean') return { ...leaf, kind: 'boolean', text: String(value) };
	const isArray = Array.isArray(value);
	const entries = isArray
		? value.map((item, i) => /** @type {[string, unknown]} */ ([String(i), item]))
		: Object.entries(/** @type {object} */ (value));
	const text = isArray ? `[${entries.length}]` : `{${entries.length}}`;
	const shown = depth >= DEEPEST ? [] : entries.slice(0, WIDEST);
	return {
		key,
		kind: isArray ? 'array' : 'object',
		text,
		children: shown.map(([name, item]) => toTree(item, name, depth + 1)),
		left: entries.length - shown.length
	};
}

/**
 * A text cut at its masks, so that they can be shown as such.
 * @param {string} text
 * @returns {{ text: string, masked: boolean }[]}
 */
export function pieces(text) {
	return text
		.split(/(\[masked\])/)
		.filter((piece) => piece !== '')
		.map((piece) => ({ text: piece, masked: piece === MASK }));
}
