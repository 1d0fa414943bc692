/**
 * @param {string} base
 * @param {number} now milliseconds since 1970
 * @returns {string} the path of this process's folder, which need not exist yet
 */
export function ownFolder(base: string, now: number): string;
/** @param {string} folder */
export function makeFolder(folder: string): void;
/** Says that this folder is in use. @param {string} folder @param {number} now */
export function touchFolder(folder: string, now: number): void;
/**
 * @param {string} base
 * @param {string} own
 * @param {number} now
 * @returns {string[]} folders of others, now inside the own one; also those that an earlier attempt
 *   could not empty
 */
export function takeAbandoned(base: string, own: string, now: number): string[];
