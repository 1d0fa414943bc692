/** @import { Circumstances, Classified } from './classify.js' */
/**
 * The error type and severity of whatever was thrown.
 * @param {unknown} error
 * @param {Circumstances} [circumstances]
 * @returns {Classified}
 */
export function classify(error: unknown, circumstances?: Circumstances): Classified;
import type { Circumstances } from './classify.js';
import type { Classified } from './classify.js';
