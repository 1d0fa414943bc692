/** @import { Severity } from './classify.js' */

/** @type {Severity[]} */
export const LEAST_FIRST = ['low', 'medium', 'high'];
/** @type {Severity[]} */
const WORST_FIRST = ['high', 'medium', 'low'];

/** @typedef {{ severity: Severity, size: number }} Item */

/**
 * A first-in, first-out list whose head moves instead of its elements.
 * @template T
 */
class Lane {
	/** @type {(T | undefined)[]} */
	#items = [];
	#head = 0;

	get length() {
		return this.#items.length - this.#head;
	}

	/** @param {T} item */
	push(item) {
		this.#items.push(item);
	}

	/** @returns {T | undefined} */
	first() {
		return this.#items[this.#head];
	}

	/** @returns {T | undefined} */
	shift() {
		if (this.length === 0) return undefined;
		const item = this.#items[this.#head];
		this.#items[this.#head++] = undefined;
		if (this.#head === this.#items.length || this.#head > 1024) {
			this.#items = this.#items.slice(this.#head);
			this.#head = 0;
		}
		return item;
	}
}

/**
 * Bounded in number and in bytes; when it is full, the oldest of the least severe goes.
 * @template {Item} T
 */
export class Queue {
	#lanes = { low: new Lane(), medium: new Lane(), high: new Lane() };
	#maxItems;
	#maxBytes;
	length = 0;
	bytes = 0;

	/** @param {number} maxItems @param {number} maxBytes */
	constructor(maxItems, maxBytes) {
		this.#maxItems = maxItems;
		this.#maxBytes = maxBytes;
	}

	/**
	 * @param {T} item
	 * @returns {T[]} what had to go, which may be the item itself
	 */
	push(item) {
		/** @type {T[]} */
		const dropped = [];
		while (
			this.length > 0 &&
			(this.length >= this.#maxItems || this.bytes + item.size > this.#maxBytes)
		) {
			const least = LEAST_FIRST.find((severity) => this.#lanes[severity].length > 0);
			if (least === undefined || LEAST_FIRST.indexOf(item.severity) < LEAST_FIRST.indexOf(least)) {
				dropped.push(item);
				return dropped;
			}
			const victim = this.#shift(least);
			if (victim !== undefined) dropped.push(victim);
		}
		this.#lanes[item.severity].push(item);
		this.length++;
		this.bytes += item.size;
		return dropped;
	}

	/**
	 * The worst first, and the oldest of those.
	 * @param {number} maxItems
	 * @param {number} maxBytes at least one item is taken, whatever its size
	 * @returns {T[]}
	 */
	take(maxItems, maxBytes) {
		/** @type {T[]} */
		const taken = [];
		let bytes = 0;
		for (const severity of WORST_FIRST) {
			while (taken.length < maxItems) {
				const next = /** @type {T | undefined} */ (this.#lanes[severity].first());
				if (next === undefined) break;
				if (taken.length > 0 && bytes + next.size > maxBytes) return taken;
				bytes += next.size;
				taken.push(next);
				this.#shift(severity);
			}
		}
		return taken;
	}

	/** @param {Severity} severity @returns {T | undefined} */
	#shift(severity) {
		const item = /** @type {T | undefined} */ (this.#lanes[severity].shift());
		if (item !== undefined) {
			this.length--;
			this.bytes -= item.size;
		}
		return item;
	}
}
