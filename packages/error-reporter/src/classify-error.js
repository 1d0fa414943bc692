import { classifyFacts } from './classify.js';
import { describe } from './describe.js';

/** @import { Circumstances, Classified } from './classify.js' */

/**
 * The error type and severity of whatever was thrown.
 * @param {unknown} error
 * @param {Circumstances} [circumstances]
 * @returns {Classified}
 */
export function classify(error, circumstances = {}) {
	return classifyFacts(describe(error), circumstances);
}
