import { Backoff } from './backoff.js';
import { safeSeal } from './event.js';
import { LEAST_FIRST } from './queue.js';

/** @import { Severity } from './classify.js' */
/** @import { Deliverer } from './deliver.js' */
/** @import { Captured, Sealed } from './event.js' */
/** @import { Queue } from './queue.js' */
/** @import { Spool } from './spool.js' */

/**
 * @typedef {object} SenderOptions
 * @property {Queue<Captured>} queue
 * @property {Deliverer} deliverer
 * @property {Spool | undefined} spool
 * @property {number} batchSize
 * @property {number} batchBytes
 * @property {number} batchDelayMs
 * @property {number} minBackoffMs
 * @property {number} maxBackoffMs
 * @property {(counts: Record<Severity, number>) => Captured} dropReport
 * @property {(message: string, fields: Record<string, unknown>) => void} log
 * @property {<T>(work: () => T) => T} inside runs work whose own errors are not to be captured
 */

const REPORT_DROPS_EVERY_MS = 10_000;
const ADOPT_EVERY_MS = 15_000;
/** Milliseconds of a clock that nobody sets: a wall clock that is put back would hold everything up. */
const now = () => performance.now();
/** Masking a batch must not keep the event loop from the worker's own work. */
const SEAL_SLICE_MS = 5;

/** Moves events from the queue to the server, or to the spool while it cannot be reached. */
export class Sender {
	#o;
	#backoff;
	/** @type {NodeJS.Timeout | NodeJS.Immediate | undefined} */
	#timer;
	#timerAt = Infinity;
	/** @type {Promise<void> | undefined} */
	#running;
	/** Taken from the queue, but neither delivered nor on disk. @type {Sealed[]} */
	#holding = [];
	/** Taken from the queue and being masked. @type {Captured[]} */
	#taken = [];
	#retryAt = 0;
	/** When a disk that could not be read is tried again. */
	#spoolAt = 0;
	#spoolBackoff;
	/** Whether what is held in memory is itself suspected, so that others may be stored. */
	#suspected = false;
	/** Whether the last batch was passed over, as the one before it was not. */
	#passedOver = false;
	/** @type {NodeJS.Timeout | undefined} */
	#keepFolder;
	#adoptAt = 0;
	#spoolTurn = false;
	#reportedDropsAt = -Infinity;
	#stopped = false;
	drops = { low: 0, medium: 0, high: 0 };
	stats = { delivered: 0, refused: 0, dropped: 0, lost: 0 };

	/** @param {SenderOptions} options */
	constructor(options) {
		this.#o = options;
		this.#backoff = new Backoff(options.minBackoffMs, options.maxBackoffMs);
		this.#spoolBackoff = new Backoff(options.minBackoffMs, options.maxBackoffMs);
		const { spool } = options;
		if (spool === undefined) return;
		// Also during long waits, or another process would take the folder over.
		this.#keepFolder = setInterval(() => spool.touch(), ADOPT_EVERY_MS).unref();
		this.#schedule(0);
	}

	get pending() {
		return this.#inMemory + (this.#o.spool?.events ?? 0);
	}

	get #inMemory() {
		return this.#o.queue.length + this.#taken.length + this.#holding.length;
	}

	/** Something was put into the queue. */
	wake() {
		this.#schedule(this.#o.queue.length >= this.#o.batchSize ? 0 : this.#o.batchDelayMs);
	}

	/** @param {Record<Severity, number>} counts */
	addDrops(counts) {
		for (const severity of LEAST_FIRST) {
			this.drops[severity] += counts[severity];
			this.stats.dropped += counts[severity];
		}
	}

	/** @param {number} delayMs */
	#schedule(delayMs) {
		if (this.#stopped || this.#running !== undefined) return;
		const at = now() + delayMs;
		if (at >= this.#timerAt) return;
		clearTimeout(/** @type {NodeJS.Timeout} */ (this.#timer));
		this.#timerAt = at;
		this.#timer = setTimeout(() => this.#run(), delayMs);
		// Waiting to report an error is no reason for a process to live on; `close` and the hooks are.
		this.#timer.unref();
	}

	/** @param {boolean} [once] */
	#run(once = false) {
		this.#timerAt = Infinity;
		this.#running ??= this.#o
			.inside(() => this.#work(once))
			.catch((error) => this.#o.log('delivery failed', { reason: String(error?.code ?? error?.name) }))
			.finally(() => {
				this.#running = undefined;
				if (this.pending > 0 || this.#dropped() > 0) {
					const wait = Math.max(this.#due - now(), this.#o.batchDelayMs);
					this.#schedule(this.#o.spool === undefined ? wait : Math.min(wait, ADOPT_EVERY_MS));
				} else if (this.#o.spool !== undefined) this.#schedule(ADOPT_EVERY_MS);
			});
		return this.#running;
	}

	#dropped() {
		return LEAST_FIRST.reduce((sum, severity) => sum + this.drops[severity], 0);
	}

	/** When what waits may be tried again. */
	get #due() {
		return this.#inMemory === 0 ? Math.max(this.#retryAt, this.#spoolAt) : this.#retryAt;
	}

	/** @param {boolean} force try now, whatever the back-off says */
	async #work(force) {
		this.#adopt();
		for (let first = true; !this.#stopped; first = false) {
			const due = (first && force) || now() >= this.#retryAt;
			if (!due) return this.#toSpool();
			const fromSpool = await this.#nextFromSpool();
			const batch = fromSpool ?? (await this.#nextFromQueue());
			if (batch.length === 0) return;
			const { refused, delivered, held, suspected, answer } = await this.#o.deliverer.deliver(batch);
			this.stats.delivered += delivered.length;
			this.#logRefused(refused);
			const passesOver = fromSpool !== undefined && suspected && held.length === batch.length && this.#passOver();
			this.#passedOver = passesOver;
			if (fromSpool === undefined) {
				this.#suspected = suspected;
				this.#keepHeld(batch, held);
			} else await this.#doneWithSpool(batch, held);
			if (passesOver) continue;
			if (held.length > 0) {
				const wait = this.#backoff.next(answer.retryAfterMs);
				this.#retryAt = now() + wait;
				if (this.#backoff.failures === 1) {
					this.#o.log('server not reached', { status: answer.status, code: answer.code });
				}
			} else {
				this.#backoff.reset();
				this.#retryAt = 0;
			}
		}
	}

	/**
	 * Of what was sent only what is held stays; what came in the meantime, as by a save that failed, stays
	 * too, and what was saved in the meantime does not come back.
	 * @param {Sealed[]} sent @param {Sealed[]} held
	 */
	#keepHeld(sent, held) {
		const before = new Set(this.#holding);
		const gone = new Set(sent);
		this.#holding = [
			...this.#holding.filter((event) => !gone.has(event)),
			...held.filter((event) => before.has(event))
		];
	}

	/**
	 * Puts what was read from the spool behind everything else there.
	 * @returns {boolean} whether something else is tried at once, which tells whether this was at fault
	 */
	#passOver() {
		const others = this.#o.spool?.park() ?? false;
		return !this.#passedOver && (others || this.#o.queue.length > 0);
	}

	#adopt() {
		if (this.#o.spool === undefined || now() < this.#adoptAt) return;
		this.#adoptAt = now() + ADOPT_EVERY_MS;
		try {
			this.#o.spool.adopt();
		} catch (error) {
			this.#o.log('spool not usable', { reason: codeOf(error) });
		}
	}

	/** What waits on disk and what is new take turns, so that neither holds the other up. */
	async #nextFromSpool() {
		if (this.#o.spool === undefined || this.#holding.length > 0 || now() < this.#spoolAt) return undefined;
		this.#spoolTurn = !this.#spoolTurn;
		if (!this.#spoolTurn && this.#o.queue.length > 0) return undefined;
		try {
			const batch = await this.#o.spool.peek(this.#o.batchSize, this.#o.batchBytes);
			this.#spoolBackoff.reset();
			return batch.length > 0 ? batch : undefined;
		} catch (error) {
			this.#o.log('spool not read', { reason: codeOf(error) });
			this.#spoolAt = now() + this.#spoolBackoff.next();
			return undefined;
		}
	}

	/** @param {Sealed[]} batch @param {Sealed[]} held */
	async #doneWithSpool(batch, held) {
		if (held.length === batch.length) return;
		if (held.length > 0 && !(await this.#keep(held))) return;
		await this.#o.spool?.done(batch.length);
	}

	async #nextFromQueue() {
		const { items, bytes } = this.#room();
		if (items > 0) {
			const taken = this.#o.queue.take(items, bytes);
			const report = this.#dropReport();
			if (report !== undefined) taken.unshift(report);
			await this.#seal(taken);
		}
		let size = 0;
		const end = this.#holding.findIndex((event, i) => i > 0 && (size += event.line.length) > this.#o.batchBytes);
		return this.#holding.slice(0, Math.min(end < 0 ? Infinity : end, this.#o.batchSize));
	}

	/**
	 * How many events, and bytes of them, may join what is held. A batch of which each event is suspected
	 * would otherwise be all that is ever sent, so at least one joins it; but where nothing can be stored
	 * at all, events are to wait in the queue.
	 */
	#room() {
		const { batchSize, batchBytes } = this.#o;
		const held = this.#holding.length;
		const heldBytes = this.#holding.reduce((sum, { line }) => sum + line.length, 0);
		if (held === 0) return { items: batchSize, bytes: batchBytes };
		if (!this.#suspected || held >= 2 * batchSize || heldBytes >= 2 * batchBytes) return { items: 0, bytes: 0 };
		return { items: Math.max(batchSize - held, 1), bytes: Math.max(batchBytes - heldBytes, 1) };
	}

	/** What is new goes first, since it tells whether what is held is at fault. @param {Captured[]} taken */
	async #seal(taken) {
		this.#taken = taken;
		const sealed = await sealAll(taken);
		// A crash in the meantime has put them on disk already.
		if (this.#taken === taken) this.#holding = [...sealed, ...this.#holding];
		this.#taken = [];
	}

	#dropReport() {
		if (this.#dropped() === 0) return undefined;
		if (now() < this.#reportedDropsAt + REPORT_DROPS_EVERY_MS) return undefined;
		this.#reportedDropsAt = now();
		const report = this.#o.dropReport({ ...this.drops });
		this.drops = { low: 0, medium: 0, high: 0 };
		return report;
	}

	/** While the server is away, what is in memory goes to disk. */
	async #toSpool() {
		while (this.#o.spool !== undefined) {
			if (this.#holding.length === 0) {
				const taken = this.#o.queue.take(this.#o.batchSize, this.#o.batchBytes);
				if (taken.length === 0) return;
				await this.#seal(taken);
			}
			const kept = this.#holding;
			if (!(await this.#keep(kept))) return;
			this.#keepHeld(kept, []);
		}
	}

	/** @param {Sealed[]} events */
	async #keep(events) {
		try {
			const dropped = await this.#o.spool?.append(events);
			if (dropped !== undefined) this.addDrops(dropped);
			return true;
		} catch (error) {
			this.#o.log('spool not written', { reason: codeOf(error) });
			return false;
		}
	}

	/** @param {import('./deliver.js').Delivery['refused']} refused */
	#logRefused(refused) {
		this.stats.refused += refused.length;
		for (const { event, answer } of refused) {
			this.#o.log('event refused', { error_id: event.id, status: answer.status, code: answer.code });
		}
	}

	/**
	 * @param {number} deadlineMs
	 * @returns {Promise<{ delivered: boolean, pending: number }>}
	 */
	async flush(deadlineMs) {
		const end = now() + deadlineMs;
		/** @type {NodeJS.Timeout | undefined} */
		let timer;
		// Not unref'd: whoever waits for this is to be waited for.
		const timeUp = new Promise((resolve) => (timer = setTimeout(resolve, Math.max(deadlineMs, 0), 'late')));
		this.#reportedDropsAt = -Infinity;
		try {
			for (let first = true; this.pending > 0 || this.#dropped() > 0; first = false) {
				const started = this.#running !== undefined;
				clearTimeout(/** @type {NodeJS.Timeout} */ (this.#timer));
				const round = await Promise.race([this.#run(first && !started), timeUp]);
				if (round === 'late' || now() >= end) break;
				const wait = this.#due - now();
				if (wait > 0 && (await Promise.race([sleep(wait), timeUp])) === 'late') break;
			}
		} finally {
			clearTimeout(timer);
		}
		return { delivered: this.pending === 0, pending: this.pending };
	}

	/** What could not be delivered goes to disk at once; without a spool it is lost, and that is said. */
	stop() {
		this.#stopped = true;
		clearTimeout(/** @type {NodeJS.Timeout} */ (this.#timer));
		clearInterval(this.#keepFolder);
		this.saveNow();
		const rest = this.#inMemory;
		if (rest > 0) {
			this.stats.lost += rest;
			this.#o.log('events lost at shutdown', { events: rest });
		}
		this.#o.spool?.removeIfEmpty();
	}

	/** Writes everything that is in memory to the spool before this returns. */
	saveNow() {
		const { spool, queue } = this.#o;
		if (spool === undefined) return;
		try {
			const fresh = [...this.#taken, ...queue.take(Infinity, Infinity)];
			const rest = [...this.#holding, ...fresh.map(safeSeal)];
			this.#taken = [];
			this.#holding = rest;
			if (this.#dropped() > 0) rest.push(safeSeal(this.#o.dropReport({ ...this.drops })));
			this.drops = { low: 0, medium: 0, high: 0 };
			spool.appendNow(rest);
			this.#holding = [];
		} catch (error) {
			this.#o.log('spool not written', { reason: codeOf(error) });
		}
	}
}

/** @param {unknown} error */
function codeOf(error) {
	return String(/** @type {NodeJS.ErrnoException} */ (error)?.code ?? 'unknown');
}

/** @param {number} ms */
function sleep(ms) {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

/** @param {Captured[]} events */
async function sealAll(events) {
	/** @type {Sealed[]} */
	const sealed = [];
	let since = performance.now();
	for (const event of events) {
		sealed.push(safeSeal(event));
		if (performance.now() - since > SEAL_SLICE_MS) {
			await new Promise((resolve) => setImmediate(resolve));
			since = performance.now();
		}
	}
	return sealed;
}
