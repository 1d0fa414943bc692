/**
 * @param {number} status
 * @param {string} code the `code` of the answer's body: an SQLSTATE or PGRST…, or nothing
 * @returns {Verdict}
 */
export function verdictOf(status: number, code: string): Verdict;
/** @typedef {(refresh: boolean) => string | Promise<string>} GetToken */
/** Sends rows to PostgREST. */
export class Transport {
    /**
     * @param {object} options
     * @param {string} options.url
     * @param {string | undefined} options.apikey
     * @param {GetToken} options.getToken
     * @param {number} options.timeoutMs
     * @param {typeof fetch} options.fetch
     * @param {() => number} options.now
     */
    constructor({ url, apikey, getToken, timeoutMs, fetch, now }: {
        url: string;
        apikey: string | undefined;
        getToken: GetToken;
        timeoutMs: number;
        fetch: typeof globalThis.fetch;
        now: () => number;
    });
    /**
     * @param {string[]} lines rows as JSON
     * @returns {Promise<Answer>}
     */
    send(lines: string[]): Promise<Answer>;
    #private;
}
/**
 * What an answer means for the events that were sent.
 * - `delivered`: all are stored.
 * - `refused`: at least one of them is at fault; the others may be delivered without it.
 * - `suspect`: either one of them is at fault, or this reporter's rights or the schema are; only the
 *   success of others tells.
 * - `unauthorized`: the token is at fault.
 * - `later`: the server or the way to it is at fault.
 */
export type Verdict = "delivered" | "refused" | "suspect" | "unauthorized" | "later";
export type Answer = {
    verdict: Verdict;
    status: number;
    code: string;
    retryAfterMs: number;
};
export type GetToken = (refresh: boolean) => string | Promise<string>;
