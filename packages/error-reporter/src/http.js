/** @import { CaptureOptions } from './event.js' */
/** @import { Reporter } from './reporter.js' */

/** A called service answered something other than 2xx. */
export class HttpStatusError extends Error {
	/** @param {number} status @param {{ method?: string, url?: string | URL }} [request] */
	constructor(status, { method = 'GET', url } = {}) {
		super(`HTTP ${status} from ${method} ${placeOf(url)}`);
		this.name = 'HttpStatusError';
		this.status = status;
	}
}

/** An address without what may be secret in it: credentials, query and fragment. */
/** @param {string | URL | undefined} url */
export function placeOf(url) {
	if (url === undefined) return 'an unnamed address';
	try {
		const { protocol, host, pathname } = new URL(url);
		return `${protocol}//${host}${pathname}`;
	} catch {
		return 'an address that cannot be read';
	}
}

/**
 * Reports a response that is not 2xx, of `fetch` (`status`) or undici's `request` (`statusCode`).
 * @param {Reporter} reporter
 * @param {{ status?: number, statusCode?: number, url?: string }} response
 * @param {CaptureOptions & { method?: string, url?: string | URL }} [options]
 * @returns {boolean} whether it was a failure
 */
export function captureHttpFailure(reporter, response, { method, url, ...options } = {}) {
	const status = response.status ?? response.statusCode ?? 0;
	if (status >= 200 && status < 300) return false;
	const place = url ?? (response.url || undefined);
	const error = new HttpStatusError(status, { method, url: place });
	const http = { method: method ?? 'GET', url: placeOf(place), status };
	reporter.capture(error, { ...options, metadata: { http, ...options.metadata } });
	return true;
}

/**
 * An error-handling middleware for Express and Connect: reports, then hands the error on.
 * @param {Reporter} reporter
 * @param {CaptureOptions} [options]
 */
export function expressErrorHandler(reporter, options = {}) {
	/** @param {unknown} error @param {any} request @param {any} _response @param {(error: unknown) => void} next */
	return (error, request, _response, next) => {
		// The path only: query strings and headers are where callers put their keys.
		const path = String(request?.route?.path ?? request?.path ?? '').slice(0, 500);
		const metadata = { http: { method: request?.method, path }, ...options.metadata };
		reporter.capture(error, { source: 'webhook', direction: 'inbound', ...options, metadata });
		next(error);
	};
}
