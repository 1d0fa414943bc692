// A bounded, plain copy of metadata. It is taken while the caller waits, so its cost has a limit
// whatever it is given: cycles, getters that throw, buffers, megabytes of text.

const MAX_DEPTH = 24;
const MAX_NODES = 2000;
export const MAX_TEXT = 8192;
const MAX_CHARACTERS = 65_536;

/** @typedef {{ nodes: number, characters: number }} Budget */

/**
 * @param {unknown} value
 * @returns {{ copy: Record<string, any>, characters: number }} an object in any case; what is no
 *   object stands under `value`
 */
export function snapshot(value) {
	const budget = { nodes: MAX_NODES, characters: MAX_CHARACTERS };
	const copy = copyOf(value, 0, budget, []);
	return {
		copy:
			copy !== null && typeof copy === 'object' && !Array.isArray(copy)
				? copy
				: copy === undefined || copy === null
					? {}
					: { value: copy },
		// Each value takes a place besides its text.
		characters: MAX_CHARACTERS - budget.characters + 32 * (MAX_NODES - Math.max(budget.nodes, 0))
	};
}

/**
 * @param {any} value
 * @param {number} depth
 * @param {Budget} budget
 * @param {object[]} parents
 * @returns {any}
 */
function copyOf(value, depth, budget, parents) {
	switch (typeof value) {
		case 'string':
			return text(value, budget);
		case 'number':
			budget.characters -= 8;
			return Number.isFinite(value) ? value : String(value);
		case 'boolean':
			budget.characters -= 5;
			return value;
		case 'bigint':
			return text(String(value), budget);
		case 'object':
			return value === null ? null : copyOfObject(value, depth, budget, parents);
		case 'function':
			return '[function]';
		default:
			return undefined;
	}
}

/** @param {any} value @param {number} depth @param {Budget} budget @param {object[]} parents @returns {any} */
function copyOfObject(value, depth, budget, parents) {
	if (parents.includes(value)) return '[circular]';
	if (depth >= MAX_DEPTH) return '[cut: nested too deep]';
	try {
		if (value instanceof Error) return text(`${value.name}: ${value.message}`, budget);
		if (ArrayBuffer.isView(value)) return `[binary: ${value.byteLength} bytes]`;
		if (value instanceof ArrayBuffer) return `[binary: ${value.byteLength} bytes]`;
		if (value instanceof Map) value = Object.fromEntries(value);
		else if (value instanceof Set) value = [...value];
		else if (typeof value.toJSON === 'function') {
			// Dates, URLs and the like say themselves what stands for them.
			const json = value.toJSON();
			if (json === null || typeof json !== 'object') return copyOf(json, depth, budget, parents);
			value = json;
		}
	} catch {
		return '[unreadable]';
	}
	parents.push(value);
	const copy = Array.isArray(value)
		? copyOfArray(value, depth, budget, parents)
		: copyOfFields(value, depth, budget, parents);
	parents.pop();
	return copy;
}

/** @param {any[]} value @param {number} depth @param {Budget} budget @param {object[]} parents */
function copyOfArray(value, depth, budget, parents) {
	/** @type {any[]} */
	const copy = [];
	for (let i = 0; i < value.length; i++) {
		if (spent(budget)) {
			copy.push(`[cut: ${value.length - i} more]`);
			break;
		}
		copy.push(read(value, i, depth, budget, parents) ?? null);
	}
	return copy;
}

/** @param {Record<string, any>} value @param {number} depth @param {Budget} budget @param {object[]} parents */
function copyOfFields(value, depth, budget, parents) {
	/** @type {Record<string, any>} */
	const copy = {};
	for (const key in value) {
		if (!Object.hasOwn(value, key)) continue;
		if (spent(budget)) {
			copy['[cut]'] = true;
			break;
		}
		budget.characters -= key.length + 4;
		const field = read(value, key, depth, budget, parents);
		// A plain assignment to "__proto__" would change the copy's prototype instead of adding a field.
		if (field !== undefined && key !== '__proto__') copy[key.slice(0, 200)] = field;
	}
	return copy;
}

/** @param {any} value @param {string | number} key @param {number} depth @param {Budget} budget @param {object[]} parents */
function read(value, key, depth, budget, parents) {
	try {
		return copyOf(value[key], depth + 1, budget, parents);
	} catch {
		return '[unreadable]';
	}
}

/** @param {Budget} budget */
function spent(budget) {
	return --budget.nodes < 0 || budget.characters <= 0;
}

/** @param {string} value @param {Budget} budget */
function text(value, budget) {
	const limit = Math.min(MAX_TEXT, Math.max(budget.characters, 400));
	if (value.length <= limit) {
		budget.characters -= value.length + 2;
		return value;
	}
	const kept = cut(value, limit);
	budget.characters -= kept.length;
	return `${kept}… [cut: ${value.length} characters]`;
}

/**
 * A slice holds on to the whole text, which may be of megabytes; its own copy does not.
 * @param {string} slice
 */
export function detached(slice) {
	return Buffer.from(slice, 'utf16le').toString('utf16le');
}

/**
 * Cut before masking, half a secret would no longer be recognised as one. So the cut is made where a
 * word ends, and a text without words is not kept at all.
 * @param {string} value
 * @param {number} limit
 */
export function cut(value, limit) {
	for (let end = limit; end > limit / 2; end--) {
		const c = value.charCodeAt(end);
		if (c <= 32 || c === 0x22 || c === 0x27 || c === 0x2c || c === 0x3b) return detached(value.slice(0, end));
	}
	return '';
}
