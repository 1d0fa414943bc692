import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

// Every process has a folder of its own below the spool's: <host>~<pid>~<made at>~<random>. So no two
// ever write to one file. The folders of processes that are gone are taken over by renaming them,
// which only one process can do.

/** A folder that its owner has not touched for so long is taken over. */
const ABANDONED_MS = 60_000;
/** Clocks and start times are not more exact than this. */
const SLACK_MS = 2_000;

/**
 * @param {string} base
 * @param {number} now milliseconds since 1970
 * @returns {string} the path of this process's folder, which need not exist yet
 */
export function ownFolder(base, now) {
	const host = hostname().replaceAll('~', '-');
	return join(base, [host, process.pid, Math.floor(now), randomUUID().slice(0, 8)].join('~'));
}

/** @param {string} folder */
export function makeFolder(folder) {
	mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Says that this folder is in use. @param {string} folder @param {number} now */
export function touchFolder(folder, now) {
	try {
		utimesSync(folder, now / 1000, now / 1000);
	} catch {
		// It is made again with the next append.
	}
}

/** What the folders begin with that were taken over, inside the one of their new owner. */
const TAKEN = 'taken~';

/**
 * @param {string} base
 * @param {string} own
 * @param {number} now
 * @returns {string[]} folders of others, now inside the own one; also those that an earlier attempt
 *   could not empty
 */
export function takeAbandoned(base, own, now) {
	for (const name of readdirSync(base)) {
		const folder = join(base, name);
		if (folder === own || !isAbandoned(name, folder, now)) continue;
		try {
			renameSync(folder, join(own, `${TAKEN}${randomUUID().slice(0, 8)}`));
		} catch {
			// Another process was quicker.
		}
	}
	return readdirSync(own)
		.filter((name) => name.startsWith(TAKEN))
		.map((name) => join(own, name));
}

/** @param {string} name @param {string} folder @param {number} now */
function isAbandoned(name, folder, now) {
	const [host, pid, madeAt] = name.split('~');
	if (madeAt === undefined) return false;
	try {
		if (now - statSync(folder).mtimeMs > ABANDONED_MS) return true;
		if (host !== hostname().replaceAll('~', '-')) return false;
		// In a container every process has the same number, so the time it began decides.
		const began = now - process.uptime() * 1000;
		if (Number(pid) === process.pid) return Number(madeAt) < began - SLACK_MS;
		process.kill(Number(pid), 0);
		return false;
	} catch (error) {
		return /** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH';
	}
}
