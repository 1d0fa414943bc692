import { AsyncLocalStorage } from 'node:async_hooks';
import { closed, opened } from './default.js';
import { Deliverer } from './deliver.js';
import { detach, toCaptured } from './event.js';
import { installHooks } from './hooks.js';
import { wrapJob } from './jobs.js';
import { complete } from './options.js';
import { Queue } from './queue.js';
import { Sender } from './sender.js';
import { Spool } from './spool.js';
import { Transport } from './transport.js';

/** @import { Severity } from './classify.js' */
/** @import { Captured, CaptureOptions } from './event.js' */
/** @import { JobReaders } from './jobs.js' */
/** @import { ReporterOptions, Settings } from './options.js' */

const REPEAT_MS = 1000;
const SAME_LOG_EVERY_MS = 60_000;
/** Reading stacks must not keep the event loop from the worker's own work. */
const DETACH_SLICE_MS = 3;

/**
 * What the reporter has done so far.
 * @typedef {object} ReporterStats
 * @property {number} captured
 * @property {number} delivered stored by the server, or known to be stored already
 * @property {number} refused by the server, each logged with its id
 * @property {number} dropped to keep within the bounds of queue and spool
 * @property {number} lost in memory at shutdown, where there was no spool
 * @property {number} pending in memory or on disk
 */

/** Set while the reporter works, so that an error of its own is not reported to itself. */
const inside = new AsyncLocalStorage();

export class Reporter {
	/** @type {Settings} */
	#settings;
	/** @type {Queue<Captured>} */
	#queue;
	/** @type {Sender | undefined} */
	#sender;
	/** @type {Map<string, Captured>} */
	#repeats = new Map();
	/** @type {Map<string, number>} */
	#logged = new Map();
	/** Captured, and their errors not yet let go. @type {Captured[]} */
	#attached = [];
	/** @type {NodeJS.Immediate | undefined} */
	#detaching;
	#captured = 0;
	#closed = false;
	#uninstall = () => {};

	/** @param {ReporterOptions} options */
	constructor(options) {
		const settings = complete(options);
		this.#settings = settings;
		this.#queue = new Queue(settings.maxQueueEvents, settings.maxQueueBytes);
		if (!settings.enabled) return;
		const transport = new Transport(settings);
		const { spoolDir, spoolMaxBytes: maxBytes, spoolSegmentBytes: segmentBytes, now } = settings;
		this.#sender = new Sender({
			...settings,
			queue: this.#queue,
			deliverer: new Deliverer(transport),
			spool: spoolDir === undefined ? undefined : new Spool(spoolDir, { maxBytes, segmentBytes, now }),
			dropReport: (counts) => this.#dropReport(counts),
			log: (message, fields) => this.#log(message, fields),
			inside: (work) => inside.run(true, work)
		});
		if (settings.hooks) this.#uninstall = installHooks(this);
	}

	/**
	 * Notes an error and returns at once; it never throws and never waits.
	 * @param {unknown} error whatever was thrown
	 * @param {CaptureOptions} [options]
	 * @returns {string | null} the event's id, to show to people; null where nothing was captured
	 */
	capture(error, options = {}) {
		try {
			if (this.#sender === undefined || this.#closed || inside.getStore() === true) return null;
			const { defaults, now, collapseRepeats } = this.#settings;
			const event = toCaptured(error, options ?? {}, defaults, now());
			this.#captured++;
			if (collapseRepeats && this.#repeats.size > 0) {
				const earlier = this.#repeats.get(event.key);
				if (earlier !== undefined && !earlier.sealed && event.at - earlier.at < REPEAT_MS) {
					earlier.count++;
					return earlier.id;
				}
			}
			this.#enqueue(event);
			return event.id;
		} catch {
			// Nothing that a report of an error does may become another error of the caller.
			return null;
		}
	}

	/**
	 * Wraps a job handler so that what it throws is reported and thrown on, unchanged.
	 * @template Job
	 * @template {unknown[]} Rest
	 * @template Result
	 * @param {(job: Job, ...rest: Rest) => Result | Promise<Result>} handler
	 * @param {JobReaders<Job> & CaptureOptions} [options]
	 * @returns {(job: Job, ...rest: Rest) => Promise<Result>}
	 */
	wrapJob(handler, options = {}) {
		return wrapJob(handler, { ...options, reporter: this });
	}

	/** @param {Captured} event */
	#enqueue(event) {
		if (this.#settings.collapseRepeats) {
			if (this.#repeats.size >= 1000) this.#repeats.clear();
			this.#repeats.set(event.key, event);
		}
		const dropped = this.#queue.push(event);
		if (dropped.length > 0) {
			const counts = { low: 0, medium: 0, high: 0 };
			for (const victim of dropped) {
				counts[victim.severity] += victim.count;
				victim.sealed = true;
			}
			this.#sender?.addDrops(counts);
		}
		this.#sender?.wake();
		this.#detachSoon(event);
	}

	/** Errors are let go as soon as the caller has returned to the event loop. @param {Captured} event */
	#detachSoon(event) {
		this.#attached.push(event);
		// A caller that never returns drops more than the queue holds.
		if (this.#attached.length > 2 * this.#settings.maxQueueEvents) {
			this.#attached = this.#attached.filter(({ sealed }) => !sealed);
		}
		this.#detaching ??= setImmediate(() => inside.run(true, () => this.#detach())).unref();
	}

	#detach() {
		this.#detaching = undefined;
		const end = performance.now() + DETACH_SLICE_MS;
		let done = 0;
		while (done < this.#attached.length && performance.now() < end) detach(this.#attached[done++]);
		this.#attached.splice(0, done);
		if (this.#attached.length > 0) {
			this.#detaching = setImmediate(() => inside.run(true, () => this.#detach())).unref();
		}
	}

	/**
	 * Waits until everything captured so far is stored, or the time is up.
	 * @param {number} [deadlineMs] 5 s
	 */
	async flush(deadlineMs = 5000) {
		return (await this.#sender?.flush(deadlineMs)) ?? { delivered: true, pending: 0 };
	}

	/**
	 * Flushes, keeps on disk what could not be delivered, and ends. Later captures do nothing.
	 * @param {number} [deadlineMs] 5 s
	 */
	async close(deadlineMs = 5000) {
		this.#closed = true;
		closed(this);
		this.#uninstall();
		const result = await this.flush(deadlineMs);
		this.#sender?.stop();
		return result;
	}

	/** Writes what is in memory to the spool before it returns; for a process that is about to end. */
	saveNow() {
		this.#sender?.saveNow();
	}

	/** @returns {ReporterStats} */
	stats() {
		const { delivered = 0, refused = 0, dropped = 0, lost = 0 } = this.#sender?.stats ?? {};
		return { captured: this.#captured, delivered, refused, dropped, lost, pending: this.#sender?.pending ?? 0 };
	}

	/** What was dropped is itself an event, or a storm would look like calm. */
	/** @param {Record<Severity, number>} counts */
	#dropReport(counts) {
		const total = counts.low + counts.medium + counts.high;
		const error = { name: 'ReporterOverflow', message: `error reporter dropped ${total} events` };
		return toCaptured(
			error,
			{ errorType: 'system.reporter', severity: 'high', source: 'system', metadata: { dropped: counts } },
			this.#settings.defaults,
			this.#settings.now()
		);
	}

	/** @param {string} message @param {Record<string, unknown>} fields */
	#log(message, fields) {
		const now = this.#settings.now();
		// Each refused event is named once; a state that lasts is not repeated with every attempt.
		if (!('error_id' in fields)) {
			const key = `${message} ${JSON.stringify(fields)}`;
			const before = this.#logged.get(key);
			if (before !== undefined && now - before < SAME_LOG_EVERY_MS) return;
			if (this.#logged.size > 100) this.#logged.clear();
			this.#logged.set(key, now);
		}
		try {
			inside.run(true, () => this.#settings.log(message, fields));
		} catch {
			// Whoever cannot write a log line cannot be told so.
		}
	}
}

/**
 * @param {ReporterOptions} options
 * @throws {TypeError} naming the option that is missing or wrong
 */
export function createReporter(options) {
	const reporter = new Reporter(options);
	opened(reporter);
	return reporter;
}
