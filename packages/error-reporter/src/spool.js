import { appendFileSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LEAST_FIRST } from './queue.js';
import { makeFolder, ownFolder, takeAbandoned, touchFolder } from './spool-folder.js';

/** @import { Severity } from './classify.js' */
/** @import { Sealed } from './event.js' */

// A segment is a file of one severity, <number>-<severity>.ndjson, only ever appended to, and deleted
// once all of it is delivered. After a crash the worst is a torn last line, which is skipped, or a
// segment that is sent again, which its events' ids make harmless.

/**
 * @typedef {object} Segment
 * @property {string} name
 * @property {Severity} severity
 * @property {number} bytes
 * @property {number} events not yet delivered; 1 for a file of an earlier process until it is read
 * @property {boolean} counted whether `events` is exact
 * @property {boolean} open whether it may still be appended to
 * @property {number} done how many of its first events are dealt with
 * @property {number} parked above 0 where it could not be delivered for a reason of its own: all others
 *   go first, then that which has waited longest
 */

/** Keeps events on disk, bounded, while the server cannot be reached. */
export class Spool {
	#base;
	#folder;
	#maxBytes;
	#segmentBytes;
	#now;
	/** @type {Segment[]} oldest first */
	#segments = [];
	#numbers = 0;
	#parkings = 0;
	/** @type {{ segment: Segment, events: Sealed[] } | undefined} */
	#reading;

	/**
	 * @param {string} base
	 * @param {{ maxBytes: number, segmentBytes: number, now: () => number }} limits
	 */
	constructor(base, { maxBytes, segmentBytes, now }) {
		this.#base = base;
		this.#folder = ownFolder(base, now());
		this.#maxBytes = maxBytes;
		this.#segmentBytes = Math.min(segmentBytes, Math.ceil(maxBytes / 4));
		this.#now = now;
	}

	get events() {
		return this.#segments.reduce((sum, segment) => sum + segment.events, 0);
	}

	get bytes() {
		return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
	}

	/** Says that the folder is in use: one that nobody touches is taken over. */
	touch() {
		touchFolder(this.#folder, this.#now());
	}

	/** Says that the folder is in use, and takes over what processes that are gone have left. */
	adopt() {
		makeFolder(this.#folder);
		touchFolder(this.#folder, this.#now());
		for (const taken of takeAbandoned(this.#base, this.#folder, this.#now())) {
			for (const name of readdirSync(taken, { recursive: true }).map(String).sort()) {
				const severity = LEAST_FIRST.find((word) => name.endsWith(`-${word}.ndjson`));
				if (severity === undefined) continue;
				const segment = this.#newSegment(severity);
				renameSync(join(taken, name), join(this.#folder, segment.name));
				const bytes = statSync(join(this.#folder, segment.name)).size;
				Object.assign(segment, { open: false, counted: false, events: 1, bytes });
			}
			rmSync(taken, { recursive: true, force: true });
		}
	}

	/**
	 * @param {Sealed[]} events
	 * @returns {Promise<Record<Severity, number>>} how many had to go to keep within the bound
	 */
	async append(events) {
		for (const { segment, text, count } of this.#parts(events)) {
			makeFolder(this.#folder);
			try {
				const file = await open(join(this.#folder, segment.name), 'a', 0o600);
				try {
					await file.appendFile(text);
					// A machine that loses power would otherwise lose what was already called safe.
					await file.datasync();
				} finally {
					await file.close();
				}
			} catch (error) {
				// Half a line may have been written, and nothing may follow it in that file.
				segment.open = false;
				throw error;
			}
			segment.events += count;
			segment.bytes += Buffer.byteLength(text);
		}
		return this.#shrink();
	}

	/** The same without waiting, for a process that is about to end. @param {Sealed[]} events */
	appendNow(events) {
		// Another line may be on its way into a segment that is open, and may be torn.
		for (const segment of this.#segments) segment.open = false;
		for (const { segment, text, count } of this.#parts(events)) {
			makeFolder(this.#folder);
			try {
				appendFileSync(join(this.#folder, segment.name), text, { mode: 0o600 });
			} catch (error) {
				segment.open = false;
				throw error;
			}
			segment.events += count;
			segment.bytes += Buffer.byteLength(text);
		}
		return this.#shrink();
	}

	/**
	 * The worst first, and the oldest of those.
	 * @param {number} maxItems
	 * @param {number} maxBytes
	 * @returns {Promise<Sealed[]>} empty only where nothing is kept
	 * @throws where there are segments, and none of them can be read now; they are kept
	 */
	async peek(maxItems, maxBytes) {
		let tries = this.#segments.length;
		/** @type {unknown} */
		let failure;
		while (this.#reading === undefined || this.#reading.events.length === 0) {
			const segment = this.#worst();
			if (segment === undefined || tries <= 0) {
				if (failure !== undefined) throw failure;
				return [];
			}
			segment.open = false;
			let text = '';
			try {
				text = await readFile(join(this.#folder, segment.name), 'utf8');
			} catch (error) {
				if (!isMissing(error)) {
					// A disk that cannot be read now holds everything still.
					tries--;
					failure = error;
					segment.parked = ++this.#parkings;
					continue;
				}
			}
			// In the meantime it may have had to go to keep within the bound.
			if (!this.#segments.includes(segment)) continue;
			this.#reading = { segment, events: eventsOf(text).slice(segment.done) };
			segment.events = this.#reading.events.length;
			segment.counted = true;
			if (segment.events === 0) this.#finish(segment);
		}
		let bytes = 0;
		let count = 0;
		for (const event of this.#reading.events.slice(0, maxItems)) {
			bytes += event.line.length;
			if (count > 0 && bytes > maxBytes) break;
			count++;
		}
		return this.#reading.events.slice(0, count);
	}

	/** @param {number} count how many of those that peek returned are dealt with */
	async done(count) {
		if (this.#reading === undefined) return;
		const { segment, events } = this.#reading;
		segment.done += events.splice(0, count).length;
		segment.events = events.length;
		if (events.length === 0) this.#finish(segment);
	}

	/**
	 * What peek returned may be at fault: everything else goes first from now on.
	 * @returns {boolean} whether there is anything else
	 */
	park() {
		if (this.#reading !== undefined) this.#reading.segment.parked = ++this.#parkings;
		this.#reading = undefined;
		return this.#segments.some(({ parked }) => parked === 0);
	}

	/** Leaves nothing behind where nothing is kept; what another process left and could not be taken over yet is kept. */
	removeIfEmpty() {
		if (this.#segments.length > 0) return;
		try {
			rmdirSync(this.#folder);
		} catch {
			// It was never made, or holds something.
		}
	}

	/** @param {Segment} segment */
	#finish(segment) {
		this.#reading = undefined;
		this.#segments = this.#segments.filter((other) => other !== segment);
		try {
			// Not in the background: when nothing is kept any more, the folder goes as well.
			rmSync(join(this.#folder, segment.name), { force: true });
		} catch {
			// The next process finds it again, and its events' ids make that harmless.
		}
	}

	#worst() {
		/** @param {Segment} segment */
		const rank = ({ severity }) => LEAST_FIRST.indexOf(severity);
		// Sorting keeps the order of equals, which is that of their age.
		return this.#segments.toSorted((a, b) => a.parked - b.parked || rank(b) - rank(a))[0];
	}

	/** @param {Segment} segment @returns {number | undefined} nothing where it cannot be read now */
	#count(segment) {
		if (segment.counted) return segment.events;
		try {
			return eventsOf(readFileSync(join(this.#folder, segment.name), 'utf8')).length;
		} catch (error) {
			return isMissing(error) ? 0 : undefined;
		}
	}

	/** @param {Sealed[]} events */
	#parts(events) {
		return LEAST_FIRST.flatMap((severity) => {
			const lines = events.filter((event) => event.severity === severity);
			if (lines.length === 0) return [];
			const text = lines.map((event) => `${event.line}\n`).join('');
			return [{ segment: this.#openSegment(severity), text, count: lines.length }];
		});
	}

	/** @param {Severity} severity */
	#openSegment(severity) {
		const last = this.#segments.findLast((segment) => segment.severity === severity);
		return last?.open && last.bytes < this.#segmentBytes ? last : this.#newSegment(severity);
	}

	/** @param {Severity} severity */
	#newSegment(severity) {
		const name = `${String(++this.#numbers).padStart(12, '0')}-${severity}.ndjson`;
		/** @type {Segment} */
		const segment = { name, severity, bytes: 0, events: 0, counted: true, open: true, done: 0, parked: 0 };
		this.#segments.push(segment);
		return segment;
	}

	/** The oldest of the least severe goes first, but not what is being sent. */
	#shrink() {
		const dropped = { low: 0, medium: 0, high: 0 };
		let bytes = this.bytes;
		for (const severity of LEAST_FIRST) {
			for (const segment of this.#segments.filter((other) => other.severity === severity)) {
				if (bytes <= this.#maxBytes) return dropped;
				if (segment === this.#reading?.segment) continue;
				const events = this.#count(segment);
				// What goes has to be counted, and what cannot be read now cannot be.
				if (events === undefined) continue;
				bytes -= segment.bytes;
				dropped[severity] += events;
				this.#segments = this.#segments.filter((other) => other !== segment);
				rmSync(join(this.#folder, segment.name), { force: true });
			}
		}
		return dropped;
	}
}

/** @param {unknown} error whether somebody has removed the file */
function isMissing(error) {
	return /** @type {NodeJS.ErrnoException} */ (error)?.code === 'ENOENT';
}

/** @param {string} text @returns {Sealed[]} */
function eventsOf(text) {
	return text.split('\n').flatMap((line) => {
		if (line === '') return [];
		try {
			const { error_id: id, severity } = JSON.parse(line);
			return typeof id === 'string' && LEAST_FIRST.includes(severity) ? [{ id, severity, line }] : [];
		} catch {
			// The line during which the process or the machine went down.
			return [];
		}
	});
}
