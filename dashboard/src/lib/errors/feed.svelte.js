import { isAbort, rpc, toApiError } from './api.js';
import { KEPT, merge, nextCursor } from './feed.js';
import { toQuery } from './filters.js';
import { throttle } from './throttle.js';

/** @typedef {import('./feed.js').FeedRow} FeedRow */

/** Two reads are at least this far apart. */
const GAP = 500;
/** Rows that one read brings at most; a storm shows its latest. */
const PAGE = 60;

/**
 * The live feed. It reads by number when it is told that there is something new, and holds back what
 * comes while it is paused.
 */
export class Feed {
	/** @type {FeedRow[]} */
	rows = $state.raw([]);
	/** @type {'loading' | 'ready' | 'error' | 'stale'} */
	status = $state('loading');
	/** @type {import('./api.js').ApiError | null} */
	error = $state.raw(null);
	paused = $state(false);
	/** Rows that came while paused. */
	waiting = $state(0);
	/** Whether a storm brought more than is shown. */
	skipped = $state(false);
	/** When the last answer came, in milliseconds since 1970. @type {number | null} */
	updatedAt = $state.raw(null);
	/** Ids of the rows that came with the last read, to be marked for a moment. @type {Set<string>} */
	fresh = $state.raw(new Set());

	/** @type {FeedRow[]} */
	#held = [];
	#cursor = 0;
	/** The read under way. @type {AbortController | null} */
	#reading = null;
	#again = false;
	/** @type {() => import('./filters.js').Filters} */
	#filters;

	/** Says that there may be new rows; call it as often as you like. */
	poke = throttle(() => this.#read(), GAP);

	/** @param {() => import('./filters.js').Filters} filters */
	constructor(filters) {
		this.#filters = filters;
	}

	/** Starts over, because the filters changed. */
	async load() {
		this.#reading?.abort();
		this.#reading = null;
		this.#again = false;
		this.#cursor = 0;
		this.#held = [];
		this.waiting = 0;
		this.skipped = false;
		this.rows = [];
		this.status = 'loading';
		await this.#read();
	}

	/** Shows what was held back. */
	resume() {
		this.paused = false;
		this.show();
	}

	/** Shows what was held back, and goes on holding back if paused. */
	show() {
		this.rows = merge(this.rows, this.#held).rows;
		this.#held = [];
		this.waiting = 0;
		this.skipped = false;
	}

	stop() {
		this.#reading?.abort();
		this.#reading = null;
		this.#again = false;
		this.poke.stop();
	}

	async #read() {
		if (this.#reading) {
			this.#again = true;
			return;
		}
		const reading = new AbortController();
		this.#reading = reading;
		const first = this.status === 'loading' || this.status === 'error';
		try {
			const question = {
				after_seq: first ? null : this.#cursor,
				filters: toQuery(this.#filters()),
				page_size: PAGE
			};
			const answer = await rpc('error_feed', question, { signal: reading.signal });
			if (this.#reading !== reading) return;
			this.#take(answer, first);
			this.status = 'ready';
			this.error = null;
			this.updatedAt = Date.now();
		} catch (error) {
			if (this.#reading !== reading || isAbort(error)) return;
			this.error = toApiError(error);
			this.status = first ? 'error' : 'stale';
		} finally {
			if (this.#reading === reading) {
				this.#reading = null;
				if (this.#again) {
					this.#again = false;
					this.poke();
				}
			}
		}
	}

	/** @param {{ rows: FeedRow[], last_seq: number, low_water: number | null, more: boolean }} answer @param {boolean} first */
	#take(answer, first) {
		this.#cursor = nextCursor(answer, this.#cursor);
		if (first) {
			this.rows = merge([], answer.rows).rows;
			return;
		}
		if (this.paused) {
			const known = merge(this.rows, this.#held, KEPT * 2).rows;
			const { added } = merge(known, answer.rows, KEPT * 2);
			this.#held = merge(this.#held, added).rows;
			this.waiting += added.length;
			this.skipped ||= answer.more && added.length === answer.rows.length;
			return;
		}
		const { rows, added } = merge(this.rows, answer.rows);
		if (added.length === 0) return;
		this.rows = rows;
		this.fresh = new Set(added.map((row) => row.error_id));
	}
}
