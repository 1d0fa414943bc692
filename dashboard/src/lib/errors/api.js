// Every call to Supabase and to the daemon goes through here, so that failures look alike.

import { env } from '$env/dynamic/public';
import { createClient } from '$lib/supabase.js';

/** @typedef {import('@supabase/supabase-js').SupabaseClient} SupabaseClient */

/** How long Supabase may take to answer. */
const LIMIT = 15_000;
/** The tracker may first wait for its turn, then for a back-test or somebody's webhook. */
const TRACKER_LIMIT = 30_000;

/** A call that failed, in words for people. */
export class ApiError extends Error {
	/**
	 * @param {string} message
	 * @param {{ status?: number, code?: string, fields?: Record<string, string> }} [details]
	 */
	constructor(message, { status = 0, code = '', fields = {} } = {}) {
		super(message);
		this.name = 'ApiError';
		/** HTTP status; 0 where no answer came. */
		this.status = status;
		/** Code of PostgREST or Postgres, as in `42501`. */
		this.code = code;
		/** Messages by field name. @type {Record<string, string>} */
		this.fields = fields;
	}

	/** Whether the caller lacks the right. */
	get forbidden() {
		return this.code === '42501' || this.status === 401 || this.status === 403;
	}
}

/** @type {SupabaseClient | undefined} */
let client;

/** The tab's client. Only in the browser: the server has one per request. */
export function supabase() {
	if (typeof window === 'undefined') throw new Error('supabase() is for the browser');
	client ??= createClient();
	return client;
}

/**
 * The data of a query, or an ApiError; no later than after 15 seconds. Use it as
 * `await rows(supabase().from('x').select('y'), { signal })`.
 * @template T
 * @param {PromiseLike<{ data: T | null, error: any, status?: number }> & { abortSignal?: (signal: AbortSignal) => unknown }} query
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<T>}
 */
export async function rows(query, { signal } = {}) {
	const answer = await within(LIMIT, signal, 'The server takes too long to answer.', (limited) => {
		query.abortSignal?.(limited);
		return query;
	});
	if (answer.error) throw databaseError(answer.error, answer.status);
	return /** @type {T} */ (answer.data);
}

/**
 * Does something that ends when its time is over, or when it is called off. The work gets a signal,
 * but is not trusted to heed it: a lost connection may leave a promise that never settles.
 * @template T
 * @param {number} limit In milliseconds.
 * @param {AbortSignal | undefined} signal
 * @param {string} late What is said when the time is over.
 * @param {(signal: AbortSignal) => PromiseLike<T>} work
 * @param {string} [gone] What is said when it failed on the way.
 * @returns {Promise<T>}
 */
async function within(limit, signal, late, work, gone) {
	if (signal?.aborted) throw aborted();
	const running = new AbortController();
	/** @type {(reason: ApiError) => void} */
	let end = () => {};
	/** @type {Promise<never>} */
	const ended = new Promise((_, reject) => {
		end = (reason) => {
			reject(reason);
			running.abort();
		};
	});
	const callOff = () => end(aborted());
	const timer = setTimeout(() => end(new ApiError(late)), limit);
	signal?.addEventListener('abort', callOff, { once: true });
	try {
		// What fails on the way says so in its own words; what was ended says why it was.
		const done = Promise.resolve(work(running.signal)).catch((error) => {
			throw unreachable(error, gone);
		});
		return await Promise.race([ended, done]);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener('abort', callOff);
	}
}

/**
 * Calls a function of the database.
 * @param {string} name
 * @param {Record<string, unknown>} [args]
 * @param {{ signal?: AbortSignal, on?: SupabaseClient }} [options] `on` is the server's client.
 * @returns {Promise<any>}
 */
export function rpc(name, args = {}, { signal, on } = {}) {
	return rows((on ?? supabase()).rpc(name, args), { signal });
}

/** Where the daemon's API is; empty where none is configured. */
export function trackerUrl() {
	return (env.PUBLIC_ERROR_TRACKER_URL ?? '').replace(/\/+$/, '');
}

/**
 * Calls the daemon's API under the user's token.
 * @param {string} path As in `/api/alert-rules/preview`.
 * @param {{ method?: string, body?: unknown, signal?: AbortSignal, token?: string }} [options]
 *   `token` is for the server; in the browser the session's is taken.
 * @returns {Promise<any>} The answer's JSON, or null where it has none.
 */
export async function daemon(path, { method = 'GET', body, signal, token } = {}) {
	const base = trackerUrl();
	if (!base) {
		throw new ApiError(
			'This needs the error tracker, whose address (PUBLIC_ERROR_TRACKER_URL) is not set.'
		);
	}
	const ask = async (/** @type {AbortSignal} */ limited) => {
		const bearer = token ?? (await supabase().auth.getSession()).data.session?.access_token;
		const response = await fetch(base + path, {
			method,
			signal: limited,
			headers: {
				...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
				...(body === undefined ? {} : { 'content-type': 'application/json' })
			},
			body: body === undefined ? undefined : JSON.stringify(body)
		});
		return { ok: response.ok, status: response.status, json: parse(await response.text()) };
	};
	const late = 'The error tracker takes too long to answer.';
	const gone = 'The error tracker does not answer.';
	const answer = await within(TRACKER_LIMIT, signal, late, ask, gone);
	if (!answer.ok) throw problem(answer.status, answer.json);
	return answer.json;
}

/** Whether a failure only says that the call was called off. @param {unknown} error */
export function isAbort(error) {
	return error instanceof Error && (error.name === 'AbortError' || /aborted/i.test(error.message));
}

/**
 * Any failure as an ApiError.
 * @param {unknown} error
 * @returns {ApiError}
 */
export function toApiError(error) {
	if (error instanceof ApiError) return error;
	return new ApiError(error instanceof Error ? error.message : String(error));
}

/**
 * Constraint names of the schema are sentences (`name_must_have_1_to_120_characters`), and messages
 * of its triggers begin with the column; both name the field.
 * @param {{ message?: string, code?: string, details?: string, hint?: string }} error
 * @param {number} [status]
 */
export function databaseError(error, status = 0) {
	const message = error.message ?? '';
	const code = error.code ?? '';
	if (isAbort(Object.assign(new Error(message), {}))) {
		return Object.assign(new ApiError(message, { status, code }), { name: 'AbortError' });
	}
	if (code === '42501' || status === 401 || status === 403) {
		const sentence = /^([a-z_]+): (.+)$/.exec(message);
		return new ApiError(sentence ? capital(sentence[2]) : 'You may not do this.', {
			status,
			code,
			fields: sentence ? { [sentence[1]]: capital(sentence[2]) } : {}
		});
	}
	const constraint = /constraint "([a-z0-9_]+)"/.exec(message)?.[1];
	const rule = constraint && /^([a-z_]+?)_(must|may)_([a-z0-9_]+)$/.exec(constraint);
	if (rule) {
		const sentence = `Must ${rule[3].replaceAll('_', ' ')}.`;
		return new ApiError(`${capital(rule[1].replaceAll('_', ' '))}: ${sentence}`, {
			status,
			code,
			fields: { [rule[1]]: sentence }
		});
	}
	const named = /^([a-z_.]+): (.+)$/.exec(message);
	if (named) {
		const sentence = [`${capital(named[2])}.`, error.hint].filter(Boolean).join(' ');
		return new ApiError(sentence, { status, code, fields: { [named[1]]: sentence } });
	}
	if (code === '' && status === 0) return unreachable(message);
	return new ApiError(status >= 500 ? 'The database could not answer.' : message, { status, code });
}

/**
 * A `application/problem+json` answer.
 * @param {number} status
 * @param {any} json
 */
function problem(status, json) {
	/** @type {Record<string, string>} */
	const fields = {};
	for (const { field, message } of Array.isArray(json?.errors) ? json.errors : []) {
		if (typeof field === 'string') fields[field] = String(message);
	}
	const message = json?.detail ?? json?.title ?? `The error tracker answered ${status}.`;
	return new ApiError(String(message), { status, fields });
}

/** @param {unknown} cause @param {string} [message] */
function unreachable(cause, message = 'The server does not answer. Is the connection gone?') {
	return isAbort(cause) ? aborted() : new ApiError(message);
}

/** The call was called off, which nobody needs to be told. */
function aborted() {
	return Object.assign(new ApiError('aborted'), { name: 'AbortError' });
}

/** @param {string} text */
function parse(text) {
	try {
		return text === '' ? null : JSON.parse(text);
	} catch {
		return null;
	}
}

/** @param {string} text */
function capital(text) {
	return text.charAt(0).toUpperCase() + text.slice(1);
}
