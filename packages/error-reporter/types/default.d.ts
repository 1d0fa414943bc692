/** @param {Reporter} reporter */
export function opened(reporter: Reporter): void;
/** @param {Reporter} reporter */
export function closed(reporter: Reporter): void;
/**
 * The reporter that adapters use which are given none: the first that was created and is not closed.
 * @returns {Reporter | undefined}
 */
export function ofProcess(): Reporter | undefined;
import type { Reporter } from './reporter.js';
