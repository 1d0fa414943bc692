/**
 * Captures what ends the process. Where nobody else listens, the process ends as it would have
 * without the hooks: the error on the error stream, exit code 1.
 * @param {Reporter} reporter
 * @returns {() => void} removes the hooks
 */
export function installHooks(reporter: Reporter): () => void;
import type { Reporter } from './reporter.js';
