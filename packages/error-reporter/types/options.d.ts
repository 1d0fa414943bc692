/** @import { Source } from './event.js' */
/** @import { GetToken } from './transport.js' */
/**
 * @typedef {object} ReporterOptions
 * @property {string} url of the Supabase project, such as `https://abc.supabase.co`
 * @property {string} [apikey] the project's publishable (anon) key, which Supabase's gateway wants
 * @property {string} [token] a JWT with role `error_reporter`, or a key
 * @property {GetToken} [getToken] instead of `token`: asked for one before the first batch, shortly
 *   before it expires, and (with `true`) after the server has refused it
 * @property {Source} [source] of events that do not say; `system`
 * @property {string | null} [projectId] of events that do not say
 * @property {string | null} [workflowId] of events that do not say
 * @property {Record<string, unknown>} [context] metadata of every event, such as the release
 * @property {string} [spoolDir] a folder to keep events in while the server cannot be reached
 * @property {number} [maxQueueEvents] 10,000
 * @property {number} [maxQueueBytes] 16 MiB
 * @property {number} [batchSize] 200
 * @property {number} [batchBytes] 512 KiB
 * @property {number} [batchDelayMs] how long an event waits for others: 500 ms
 * @property {number} [timeoutMs] of one request: 10 s
 * @property {number} [minBackoffMs] 500 ms
 * @property {number} [maxBackoffMs] 60 s
 * @property {number} [spoolMaxBytes] 64 MiB
 * @property {number} [spoolSegmentBytes] 512 KiB
 * @property {boolean} [collapseRepeats] equal errors that wait for the same batch, within a second,
 *   become one event with `count` in its metadata; off, because every error counts
 * @property {boolean} [hooks] capture what ends the process; off
 * @property {boolean} [enabled] false: capture does nothing; true
 * @property {(message: string, fields: Record<string, unknown>) => void} [log] what the reporter itself has
 *   to say; to the console's error stream
 * @property {typeof globalThis.fetch} [fetch] for tests
 * @property {() => number} [now] for tests: milliseconds since 1970
 */
/** @typedef {ReturnType<typeof complete>} Settings */
/**
 * @param {ReporterOptions} options
 * @throws {TypeError} that names the option; the only place where the reporter throws
 */
export function complete(options: ReporterOptions): {
    enabled: boolean;
    url: string;
    apikey: string | undefined;
    getToken: GetToken;
    defaults: {
        source: Source;
        projectId: string | null;
        workflowId: string | null;
        context: Record<string, unknown>;
    };
    spoolDir: string | undefined;
    maxQueueEvents: number;
    maxQueueBytes: number;
    batchSize: number;
    batchBytes: number;
    batchDelayMs: number;
    timeoutMs: number;
    minBackoffMs: number;
    maxBackoffMs: number;
    spoolMaxBytes: number;
    spoolSegmentBytes: number;
    collapseRepeats: boolean;
    hooks: boolean;
    log: (message: string, fields: Record<string, unknown>) => void;
    fetch: typeof fetch;
    now: () => number;
};
export type ReporterOptions = {
    /**
     * of the Supabase project, such as `https://abc.supabase.co`
     */
    url: string;
    /**
     * the project's publishable (anon) key, which Supabase's gateway wants
     */
    apikey?: string | undefined;
    /**
     * a JWT with role `error_reporter`, or a key
     */
    token?: string | undefined;
    /**
     * instead of `token`: asked for one before the first batch, shortly
     * before it expires, and (with `true`) after the server has refused it
     */
    getToken?: GetToken | undefined;
    /**
     * of events that do not say; `system`
     */
    source?: Source | undefined;
    /**
     * of events that do not say
     */
    projectId?: string | null | undefined;
    /**
     * of events that do not say
     */
    workflowId?: string | null | undefined;
    /**
     * metadata of every event, such as the release
     */
    context?: Record<string, unknown> | undefined;
    /**
     * a folder to keep events in while the server cannot be reached
     */
    spoolDir?: string | undefined;
    /**
     * 10,000
     */
    maxQueueEvents?: number | undefined;
    /**
     * 16 MiB
     */
    maxQueueBytes?: number | undefined;
    /**
     * 200
     */
    batchSize?: number | undefined;
    /**
     * 512 KiB
     */
    batchBytes?: number | undefined;
    /**
     * how long an event waits for others: 500 ms
     */
    batchDelayMs?: number | undefined;
    /**
     * of one request: 10 s
     */
    timeoutMs?: number | undefined;
    /**
     * 500 ms
     */
    minBackoffMs?: number | undefined;
    /**
     * 60 s
     */
    maxBackoffMs?: number | undefined;
    /**
     * 64 MiB
     */
    spoolMaxBytes?: number | undefined;
    /**
     * 512 KiB
     */
    spoolSegmentBytes?: number | undefined;
    /**
     * equal errors that wait for the same batch, within a second,
     * become one event with `count` in its metadata; off, because every error counts
     */
    collapseRepeats?: boolean | undefined;
    /**
     * capture what ends the process; off
     */
    hooks?: boolean | undefined;
    /**
     * false: capture does nothing; true
     */
    enabled?: boolean | undefined;
    /**
     * what the reporter itself has
     * to say; to the console's error stream
     */
    log?: ((message: string, fields: Record<string, unknown>) => void) | undefined;
    /**
     * for tests
     */
    fetch?: typeof fetch | undefined;
    /**
     * for tests: milliseconds since 1970
     */
    now?: (() => number) | undefined;
};
export type Settings = ReturnType<typeof complete>;
import type { GetToken } from './transport.js';
import type { Source } from './event.js';
