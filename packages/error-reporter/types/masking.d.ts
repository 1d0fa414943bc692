/**
 * Issuers' numbers begin with 2 to 6, which keeps times in milliseconds out of it; the check digit
 * is that of ISO/IEC 7812-1, annex B.
 * @param {string} digits
 */
export function isCardNumber(digits: string): boolean;
/**
 * @param {string} text
 * @returns {string} the text without its sensitive parts
 */
export function maskText(text: string): string;
/** @param {string} key */
export function isSensitiveKey(key: string): boolean;
/**
 * A JSON document without its sensitive parts: values of sensitive keys at any depth, and sensitive
 * texts anywhere, also in keys. Texts also lose what Postgres cannot store: NUL and half a
 * surrogate pair.
 * @param {any} value plain JSON data
 * @param {number} [depth]
 * @returns {any}
 */
export function maskDocument(value: any, depth?: number): any;
/**
 * @param {string} text
 * @returns {string} the text as Postgres can store it in jsonb
 */
export function storable(text: string): string;
/**
 * `apply` and `plainly` give the same; `apply` takes linear time.
 * @type {{ needles: string[], apply: (text: string) => string, plainly: (text: string) => string }[]}
 */
export const RULES: {
    needles: string[];
    apply: (text: string) => string;
    plainly: (text: string) => string;
}[];
export type MaskingTable = {
    about: string;
    key_contains: string[];
    key_ends: string[];
    key_is: string[];
    values: {
        pattern: string;
        needles: string[];
        replacement: string;
        note: string;
    }[];
};
