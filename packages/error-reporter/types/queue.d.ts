/** @import { Severity } from './classify.js' */
/** @type {Severity[]} */
export const LEAST_FIRST: Severity[];
/**
 * Bounded in number and in bytes; when it is full, the oldest of the least severe goes.
 * @template {Item} T
 */
export class Queue<T extends Item> {
    /** @param {number} maxItems @param {number} maxBytes */
    constructor(maxItems: number, maxBytes: number);
    length: number;
    bytes: number;
    /**
     * @param {T} item
     * @returns {T[]} what had to go, which may be the item itself
     */
    push(item: T): T[];
    /**
     * The worst first, and the oldest of those.
     * @param {number} maxItems
     * @param {number} maxBytes at least one item is taken, whatever its size
     * @returns {T[]}
     */
    take(maxItems: number, maxBytes: number): T[];
    #private;
}
export type Item = {
    severity: Severity;
    size: number;
};
import type { Severity } from './classify.js';
