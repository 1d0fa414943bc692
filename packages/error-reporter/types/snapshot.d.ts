/** @typedef {{ nodes: number, characters: number }} Budget */
/**
 * @param {unknown} value
 * @returns {{ copy: Record<string, any>, characters: number }} an object in any case; what is no
 *   object stands under `value`
 */
export function snapshot(value: unknown): {
    copy: Record<string, any>;
    characters: number;
};
/**
 * A slice holds on to the whole text, which may be of megabytes; its own copy does not.
 * @param {string} slice
 */
export function detached(slice: string): string;
/**
 * Cut before masking, half a secret would no longer be recognised as one. So the cut is made where a
 * word ends, and a text without words is not kept at all.
 * @param {string} value
 * @param {number} limit
 */
export function cut(value: string, limit: number): string;
export const MAX_TEXT: 8192;
export type Budget = {
    nodes: number;
    characters: number;
};
