/**
 * @param {ReporterOptions} options
 * @throws {TypeError} naming the option that is missing or wrong
 */
export function createReporter(options: ReporterOptions): Reporter;
export class Reporter {
    /** @param {ReporterOptions} options */
    constructor(options: ReporterOptions);
    /**
     * Notes an error and returns at once; it never throws and never waits.
     * @param {unknown} error whatever was thrown
     * @param {CaptureOptions} [options]
     * @returns {string | null} the event's id, to show to people; null where nothing was captured
     */
    capture(error: unknown, options?: CaptureOptions): string | null;
    /**
     * Wraps a job handler so that what it throws is reported and thrown on, unchanged.
     * @template Job
     * @template {unknown[]} Rest
     * @template Result
     * @param {(job: Job, ...rest: Rest) => Result | Promise<Result>} handler
     * @param {JobReaders<Job> & CaptureOptions} [options]
     * @returns {(job: Job, ...rest: Rest) => Promise<Result>}
     */
    wrapJob<Job, Rest extends unknown[], Result>(handler: (job: Job, ...rest: Rest) => Result | Promise<Result>, options?: JobReaders<Job> & CaptureOptions): (job: Job, ...rest: Rest) => Promise<Result>;
    /**
     * Waits until everything captured so far is stored, or the time is up.
     * @param {number} [deadlineMs] 5 s
     */
    flush(deadlineMs?: number): Promise<{
        delivered: boolean;
        pending: number;
    }>;
    /**
     * Flushes, keeps on disk what could not be delivered, and ends. Later captures do nothing.
     * @param {number} [deadlineMs] 5 s
     */
    close(deadlineMs?: number): Promise<{
        delivered: boolean;
        pending: number;
    }>;
    /** Writes what is in memory to the spool before it returns; for a process that is about to end. */
    saveNow(): void;
    /** @returns {ReporterStats} */
    stats(): ReporterStats;
    #private;
}
/**
 * What the reporter has done so far.
 */
export type ReporterStats = {
    captured: number;
    /**
     * stored by the server, or known to be stored already
     */
    delivered: number;
    /**
     * by the server, each logged with its id
     */
    refused: number;
    /**
     * to keep within the bounds of queue and spool
     */
    dropped: number;
    /**
     * in memory at shutdown, where there was no spool
     */
    lost: number;
    /**
     * in memory or on disk
     */
    pending: number;
};
import type { ReporterOptions } from './options.js';
import type { CaptureOptions } from './event.js';
import type { JobReaders } from './jobs.js';
