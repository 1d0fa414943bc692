import { ofProcess } from './default.js';

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
export function wrapJob(handler, options = {}) {
	const { reporter, ...readers } = options;
	return async (job, ...rest) => {
		try {
			return await handler(job, ...rest);
		} catch (error) {
			(reporter ?? ofProcess())?.capture(error, jobOptions(job, error, readers));
			throw error;
		}
	};
}

/**
 * @template Job
 * @param {Job} job @param {unknown} error @param {JobReaders<Job> & CaptureOptions} readers
 * @returns {CaptureOptions}
 */
function jobOptions(job, error, readers) {
	const { workflowIdOf, projectIdOf, attemptOf, maxAttemptsOf, finalOf, metadataOf, ...options } = readers;
	return {
		source: 'worker',
		...options,
		workflowId: read(() => workflowIdOf?.(job)) ?? options.workflowId,
		projectId: read(() => projectIdOf?.(job)) ?? options.projectId,
		attempt: read(() => attemptOf?.(job, error)) ?? options.attempt,
		maxAttempts: read(() => maxAttemptsOf?.(job, error)) ?? options.maxAttempts,
		final: read(() => finalOf?.(job, error)) ?? options.final,
		metadata: { ...options.metadata, ...read(() => metadataOf?.(job, error)) }
	};
}

/** @template T @param {() => T} reader @returns {T | undefined} */
function read(reader) {
	try {
		return reader();
	} catch {
		// A job of an unexpected shape is often the very reason why its handler failed.
		return undefined;
	}
}
