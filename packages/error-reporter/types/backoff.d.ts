/**
 * @param {string | null} header seconds or an HTTP date
 * @param {number} now milliseconds since 1970
 * @returns {number} milliseconds to wait; 0 where there is nothing to read
 */
export function retryAfterMs(header: string | null, now: number): number;
/**
 * Waiting doubles from one failure to the next, and a random part keeps a thousand workers that lost
 * the same server from coming back in the same instant.
 */
export class Backoff {
    /** @param {number} minMs @param {number} maxMs @param {() => number} [random] in [0, 1) */
    constructor(minMs: number, maxMs: number, random?: () => number);
    failures: number;
    reset(): void;
    /**
     * @param {number} [retryAfterMs] what the server asked for
     * @returns {number} how many milliseconds to wait
     */
    next(retryAfterMs?: number): number;
    #private;
}
