// What a card shows: data that is loaded, refreshed, and kept while a refresh fails.

import { isAbort, toApiError } from './api.js';

/** @typedef {import('./api.js').ApiError} ApiError */

/**
 * One query and its states:
 * `loading` (nothing yet), `ready`, `stale` (older data stays while the last refresh failed), `error`.
 * @template T
 */
export class Resource {
	/** @type {T | undefined} */
	data = $state.raw(undefined);
	/** @type {ApiError | null} */
	error = $state.raw(null);
	/** When the data came, in milliseconds since 1970. @type {number | null} */
	updatedAt = $state.raw(null);
	/** Whether a call is under way. */
	busy = $state(false);

	/** @type {(signal: AbortSignal) => Promise<T>} */
	#fetch;
	/** @type {AbortController | null} */
	#running = null;
	#again = false;

	/** @param {(signal: AbortSignal) => Promise<T>} fetch */
	constructor(fetch) {
		this.#fetch = fetch;
	}

	/** @type {'loading' | 'ready' | 'stale' | 'error'} */
	status = $derived(
		this.data === undefined ? (this.error ? 'error' : 'loading') : this.error ? 'stale' : 'ready'
	);

	/**
	 * Asks anew, because the question changed: a call under way is called off.
	 * @param {{ clear?: boolean }} [options] With `clear` the old answer goes at once.
	 */
	load = async ({ clear = false } = {}) => {
		this.#running?.abort();
		this.#again = false;
		if (clear) {
			this.data = undefined;
			this.error = null;
		}
		await this.#run();
	};

	/** Asks the same again: while a call is under way, once more after it, however often called. */
	refresh = async () => {
		if (this.#running) this.#again = true;
		else await this.#run();
	};

	/** Calls off what is under way. */
	stop = () => {
		this.#running?.abort();
		this.#running = null;
		this.#again = false;
		this.busy = false;
	};

	async #run() {
		const running = new AbortController();
		this.#running = running;
		this.busy = true;
		try {
			const data = await this.#fetch(running.signal);
			if (this.#running !== running) return;
			this.data = data;
			this.error = null;
			this.updatedAt = Date.now();
		} catch (error) {
			if (this.#running !== running || isAbort(error)) return;
			this.error = toApiError(error);
		} finally {
			if (this.#running === running) {
				this.#running = null;
				this.busy = false;
				if (this.#again) {
					this.#again = false;
					this.#run();
				}
			}
		}
	}
}
