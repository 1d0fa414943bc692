/** @import { CaptureOptions } from './event.js' */
/** @import { Reporter } from './reporter.js' */
/**
 * How to read a job. Each is asked for the job only when the handler has failed, and may fail itself.
 * @template Job
 * @typedef {object} JobReaders
 * @property {(job: Job) => string | null | undefined} [workflowIdOf]
 * @property {(job: Job) => string | null | undefined} [projectIdOf]
 * @property {(job: Job, error: unknown) => number | undefined} [attemptOf] the attempt that failed, from 1
 * @property {(job: Job, error: unknown) => number | undefined} [maxAttemptsOf]
 * @property {(job: Job, error: unknown) => boolean | undefined} [finalOf]
 * @property {(job: Job, error: unknown) => Record<string, unknown>} [metadataOf]
 */
/**
 * Wraps a job handler so that what it throws is reported and thrown on, unchanged. It is reported by
 * `options.reporter`, else by the process's first reporter that is not closed; so a module that wraps
 * handlers need not know the one that creates the reporter. `reporter.wrapJob` does the same by itself.
 * @template Job
 * @template {unknown[]} Rest
 * @template Result
 * @param {(job: Job, ...rest: Rest) => Result | Promise<Result>} handler
 * @param {JobReaders<Job> & CaptureOptions & { reporter?: Reporter }} [options]
 * @returns {(job: Job, ...rest: Rest) => Promise<Result>}
 */
export function wrapJob<Job, Rest extends unknown[], Result>(handler: (job: Job, ...rest: Rest) => Result | Promise<Result>, options?: JobReaders<Job> & CaptureOptions & {
    reporter?: Reporter;
}): (job: Job, ...rest: Rest) => Promise<Result>;
/**
 * How to read a job. Each is asked for the job only when the handler has failed, and may fail itself.
 */
export type JobReaders<Job> = {
    workflowIdOf?: ((job: Job) => string | null | undefined) | undefined;
    projectIdOf?: ((job: Job) => string | null | undefined) | undefined;
    /**
     * the attempt that failed, from 1
     */
    attemptOf?: ((job: Job, error: unknown) => number | undefined) | undefined;
    maxAttemptsOf?: ((job: Job, error: unknown) => number | undefined) | undefined;
    finalOf?: ((job: Job, error: unknown) => boolean | undefined) | undefined;
    metadataOf?: ((job: Job, error: unknown) => Record<string, unknown>) | undefined;
};
import type { CaptureOptions } from './event.js';
import type { Reporter } from './reporter.js';
