/** An address without what may be secret in it: credentials, query and fragment. */
/** @param {string | URL | undefined} url */
export function placeOf(url: string | URL | undefined): string;
/**
 * Reports a response that is not 2xx, of `fetch` (`status`) or undici's `request` (`statusCode`).
 * @param {Reporter} reporter
 * @param {{ status?: number, statusCode?: number, url?: string }} response
 * @param {CaptureOptions & { method?: string, url?: string | URL }} [options]
 * @returns {boolean} whether it was a failure
 */
export function captureHttpFailure(reporter: Reporter, response: {
    status?: number;
    statusCode?: number;
    url?: string;
}, { method, url, ...options }?: CaptureOptions & {
    method?: string;
    url?: string | URL;
}): boolean;
/**
 * An error-handling middleware for Express and Connect: reports, then hands the error on.
 * @param {Reporter} reporter
 * @param {CaptureOptions} [options]
 */
export function expressErrorHandler(reporter: Reporter, options?: CaptureOptions): (error: unknown, request: any, _response: any, next: (error: unknown) => void) => void;
/** @import { CaptureOptions } from './event.js' */
/** @import { Reporter } from './reporter.js' */
/** A called service answered something other than 2xx. */
export class HttpStatusError extends Error {
    /** @param {number} status @param {{ method?: string, url?: string | URL }} [request] */
    constructor(status: number, { method, url }?: {
        method?: string;
        url?: string | URL;
    });
    status: number;
}
import type { Reporter } from './reporter.js';
import type { CaptureOptions } from './event.js';
