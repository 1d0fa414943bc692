import { retryAfterMs } from './backoff.js';

/**
 * What an answer means for the events that were sent.
 * - `delivered`: all are stored.
 * - `refused`: at least one of them is at fault; the others may be delivered without it.
 * - `suspect`: either one of them is at fault, or this reporter's rights or the schema are; only the
 *   success of others tells.
 * - `unauthorized`: the token is at fault.
 * - `later`: the server or the way to it is at fault.
 * @typedef {'delivered' | 'refused' | 'suspect' | 'unauthorized' | 'later'} Verdict
 */

/** @typedef {{ verdict: Verdict, status: number, code: string, retryAfterMs: number }} Answer */

// SQLSTATE classes that speak of the server's state and not of the row: connection, transaction
// rollback, resources, object not in prerequisite state, operator intervention, system error.
const OUTAGES = ['08', '25', '40', '53', '55', '57', '58'];

/**
 * @param {number} status
 * @param {string} code the `code` of the answer's body: an SQLSTATE or PGRST…, or nothing
 * @returns {Verdict}
 */
export function verdictOf(status, code) {
	if (status >= 200 && status < 300) return 'delivered';
	if (status === 401) return 'unauthorized';
	const sqlstate = /^[0-9A-Z]{5}$/.test(code) ? code : '';
	if (OUTAGES.includes(sqlstate.slice(0, 2))) return 'later';
	// Too complex for Postgres is a property of the row, though PostgREST answers 500.
	if (sqlstate.startsWith('54')) return 'suspect';
	if (status === 408 || status === 425 || status === 429 || status >= 500) return 'later';
	if (status === 413) return 'refused';
	if (status === 400 || status === 409 || status === 422) {
		// PGRST codes mean the table, a column or the request itself, which no other row would cure.
		return code.startsWith('PGRST') && code !== 'PGRST102' ? 'later' : 'refused';
	}
	if (status === 403) return 'suspect';
	// A redirect, a missing table, a wrong path: not the events' fault, and perhaps soon repaired.
	return 'later';
}

/** @typedef {(refresh: boolean) => string | Promise<string>} GetToken */

/** Sends rows to PostgREST. */
export class Transport {
	#endpoint;
	#apikey;
	#getToken;
	#timeoutMs;
	#fetch;
	#now;
	/** @type {string | undefined} */
	#token;

	/**
	 * @param {object} options
	 * @param {string} options.url
	 * @param {string | undefined} options.apikey
	 * @param {GetToken} options.getToken
	 * @param {number} options.timeoutMs
	 * @param {typeof fetch} options.fetch
	 * @param {() => number} options.now
	 */
	constructor({ url, apikey, getToken, timeoutMs, fetch, now }) {
		this.#endpoint = `${url.replace(/\/+$/, '')}/rest/v1/error_metrics?on_conflict=error_id`;
		this.#apikey = apikey;
		this.#getToken = getToken;
		this.#timeoutMs = timeoutMs;
		this.#fetch = fetch;
		this.#now = now;
	}

	/**
	 * @param {string[]} lines rows as JSON
	 * @returns {Promise<Answer>}
	 */
	async send(lines) {
		const answer = await this.#try(lines);
		if (answer.verdict !== 'unauthorized') return answer;
		this.#token = undefined;
		return this.#try(lines, true);
	}

	/** @param {string[]} lines @param {boolean} [refresh] @returns {Promise<Answer>} */
	async #try(lines, refresh = false) {
		const signal = AbortSignal.timeout(this.#timeoutMs);
		try {
			const token = await orAbort(this.#tokenNow(refresh), signal);
			const response = await this.#fetch(this.#endpoint, {
				method: 'POST',
				// A redirect would carry the token to wherever it points.
				redirect: 'manual',
				signal,
				headers: {
					'content-type': 'application/json',
					prefer: 'return=minimal,resolution=ignore-duplicates',
					authorization: `Bearer ${token}`,
					...(this.#apikey === undefined ? {} : { apikey: this.#apikey })
				},
				body: `[${lines.join(',')}]`
			});
			// The body is read also where nobody needs it: only then is the connection free again.
			const body = await response.text();
			const code = response.ok ? '' : codeOf(body);
			return {
				verdict: verdictOf(response.status, code),
				status: response.status,
				code,
				retryAfterMs: retryAfterMs(response.headers.get('retry-after'), this.#now())
			};
		} catch (error) {
			return { verdict: 'later', status: 0, code: codeOfFailure(error), retryAfterMs: 0 };
		}
	}

	/** @param {boolean} refresh */
	async #tokenNow(refresh) {
		if (this.#token === undefined || this.#expiresSoon(this.#token)) {
			this.#token = await this.#getToken(refresh || this.#token !== undefined);
		}
		return this.#token;
	}

	/** @param {string} token */
	#expiresSoon(token) {
		const claims = token.split('.')[1];
		if (claims === undefined) return false;
		try {
			const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString());
			return typeof exp === 'number' && exp * 1000 < this.#now() + 30_000;
		} catch {
			return false;
		}
	}
}

/** @template T @param {Promise<T>} work @param {AbortSignal} signal @returns {Promise<T>} */
function orAbort(work, signal) {
	return new Promise((resolve, reject) => {
		signal.addEventListener('abort', () => reject(signal.reason), { once: true });
		work.then(resolve, reject);
	});
}

/** @param {string} body */
function codeOf(body) {
	try {
		const { code } = JSON.parse(body);
		return typeof code === 'string' && /^[A-Z0-9]{1,12}$/.test(code) ? code : '';
	} catch {
		return '';
	}
}

/** A word for the log that holds nothing of the request. @param {any} error */
function codeOfFailure(error) {
	const code = error?.cause?.code ?? error?.code ?? error?.name;
	return typeof code === 'string' ? code.slice(0, 40) : 'failed';
}
