/** @import { CaptureOptions } from './event.js' */
/** @import { Reporter } from './reporter.js' */

/**
 * What SvelteKit's server hook `handleError` is called with; of the event only what is used here.
 * @typedef {object} HandleErrorInput
 * @property {unknown} error
 * @property {{ url?: URL, route?: { id?: string | null }, request?: Request, params?: Record<string, string>, isDataRequest?: boolean }} event
 * @property {number} [status]
 * @property {string} [message]
 */

const REQUEST_ID_HEADERS = ['x-request-id', 'x-railway-request-id', 'x-vercel-id', 'cf-ray', 'traceparent'];

/**
 * A `handleError` hook for `hooks.server.js`: reports the error and answers what is safe to show,
 * with the event's id so that a person can quote it. Headers, cookies and query strings are never
 * read, except for the request's id.
 * @param {Reporter} reporter
 * @param {CaptureOptions & { ignore?: (input: HandleErrorInput) => boolean, optionsOf?: (input: HandleErrorInput) => CaptureOptions }} [options]
 */
export function handleErrorWith(reporter, { ignore, optionsOf, ...options } = {}) {
	/** @param {HandleErrorInput} input */
	return (input) => {
		const message = input.message ?? 'Internal Error';
		try {
			if (ignore?.(input)) return { message };
			const own = optionsOf?.(input) ?? {};
			const errorId = reporter.capture(withStatus(input), {
				source: 'system',
				direction: 'inbound',
				...options,
				...own,
				metadata: { ...requestOf(input), ...options.metadata, ...own.metadata }
			});
			return errorId === null ? { message } : { message, errorId };
		} catch {
			return { message };
		}
	};
}

/** SvelteKit knows the status also where the error itself has none, as for a missing route. */
/** @param {HandleErrorInput} input */
function withStatus({ error, status }) {
	if (status === undefined || status === 500 || !(error instanceof Error) || 'status' in error) return error;
	return Object.create(error, { status: { value: status } });
}

/** @param {HandleErrorInput} input */
function requestOf({ event, status }) {
	const headers = event?.request?.headers;
	const requestId = REQUEST_ID_HEADERS.map((name) => headers?.get(name)).find(Boolean);
	return {
		http: {
			method: event?.request?.method,
			route: event?.route?.id ?? null,
			path: event?.url?.pathname,
			status,
			data_request: event?.isDataRequest
		},
		...(requestId ? { request_id: requestId.slice(0, 200) } : {})
	};
}
