/** @import { Reporter } from './reporter.js' */

/**
 * Those of this process that are not closed, oldest first.
 * @type {Reporter[]}
 */
const open = [];

/** @param {Reporter} reporter */
export function opened(reporter) {
	open.push(reporter);
}

/** @param {Reporter} reporter */
export function closed(reporter) {
	const place = open.indexOf(reporter);
	if (place >= 0) open.splice(place, 1);
}

/**
 * The reporter that adapters use which are given none: the first that was created and is not closed.
 * @returns {Reporter | undefined}
 */
export function ofProcess() {
	return open[0];
}
