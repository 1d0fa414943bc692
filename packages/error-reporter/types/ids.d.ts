/**
 * @param {number} now milliseconds since 1970
 * @returns {string} a new UUID, version 7
 */
export function uuidv7(now: number): string;
/**
 * @param {unknown} value
 * @returns {value is string}
 */
export function isUuid(value: unknown): value is string;
