/**
 * A `handleError` hook for `hooks.server.js`: reports the error and answers what is safe to show,
 * with the event's id so that a person can quote it. Headers, cookies and query strings are never
 * read, except for the request's id.
 * @param {Reporter} reporter
 * @param {CaptureOptions & { ignore?: (input: HandleErrorInput) => boolean, optionsOf?: (input: HandleErrorInput) => CaptureOptions }} [options]
 */
export function handleErrorWith(reporter: Reporter, { ignore, optionsOf, ...options }?: CaptureOptions & {
    ignore?: (input: HandleErrorInput) => boolean;
    optionsOf?: (input: HandleErrorInput) => CaptureOptions;
}): (input: HandleErrorInput) => {
    message: string;
    errorId?: undefined;
} | {
    message: string;
    errorId: string;
};
/**
 * What SvelteKit's server hook `handleError` is called with; of the event only what is used here.
 */
export type HandleErrorInput = {
    error: unknown;
    event: {
        url?: URL;
        route?: {
            id?: string | null;
        };
        request?: Request;
        params?: Record<string, string>;
        isDataRequest?: boolean;
    };
    status?: number | undefined;
    message?: string | undefined;
};
import type { Reporter } from './reporter.js';
import type { CaptureOptions } from './event.js';
