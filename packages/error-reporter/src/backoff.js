/**
 * Waiting doubles from one failure to the next, and a random part keeps a thousand workers that lost
 * the same server from coming back in the same instant.
 */
export class Backoff {
	#minMs;
	#maxMs;
	#random;
	failures = 0;

	/** @param {number} minMs @param {number} maxMs @param {() => number} [random] in [0, 1) */
	constructor(minMs, maxMs, random = Math.random) {
		this.#minMs = minMs;
		this.#maxMs = maxMs;
		this.#random = random;
	}

	reset() {
		this.failures = 0;
	}

	/**
	 * @param {number} [retryAfterMs] what the server asked for
	 * @returns {number} how many milliseconds to wait
	 */
	next(retryAfterMs = 0) {
		const whole = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.failures++, 30));
		const jittered = whole / 2 + (whole / 2) * this.#random();
		// A server that asks for a day does not get it: what waits is bounded and grows old.
		return Math.max(jittered, Math.min(retryAfterMs, 5 * this.#maxMs));
	}
}

/**
 * @param {string | null} header seconds or an HTTP date
 * @param {number} now milliseconds since 1970
 * @returns {number} milliseconds to wait; 0 where there is nothing to read
 */
export function retryAfterMs(header, now) {
	if (header === null || header.trim() === '') return 0;
	const seconds = Number(header);
	if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
	const date = Date.parse(header);
	return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}
