// How MeshHook's workers embed the reporter. The queue and the executor below have the shapes of
// MeshHook's own: a queue that calls one handler for each job and prints what it throws, and an HTTP
// step that is tried five times, notes each failure, and throws in the end.
import { EventEmitter } from 'node:events';
import { wrapJob } from '../src/index.js'; // in MeshHook: from '@meshhook/error-reporter'

/** A queue like MeshHook's: what a handler throws ends as a line on the console, and nowhere else. */
export class JobQueue extends EventEmitter {
	/** @param {string} name @param {(job: any) => Promise<void>} handler */
	process(name, handler) {
		this.on(name, async (job) => {
			try {
				await handler(job);
			} catch (error) {
				console.error('job failed', /** @type {Error} */ (error).message);
			} finally {
				this.emit('settled', job);
			}
		});
	}

	/** @param {string} name @param {any} job */
	add(name, job) {
		this.emit(name, job);
	}
}

/** @typedef {{ runId: string, workflowId: string, projectId: string, node: { id: string, url: string }, maxAttempts?: number }} HttpJob */

/**
 * An HTTP step. Every failed attempt is an error of its own, of medium severity; the last one is what
 * fails the run, and is left to the wrapper around the handler.
 * @param {import('../src/index.js').Reporter} reporter
 * @param {{ backoffMs?: number }} [options]
 */
export function httpExecutor(reporter, { backoffMs = 500 } = {}) {
	return async (/** @type {HttpJob} */ { runId, workflowId, projectId, node, maxAttempts = 5 }) => {
		for (let attempt = 1; ; attempt++) {
			try {
				const response = await fetch(node.url, { method: 'POST', signal: AbortSignal.timeout(10_000) });
				await response.arrayBuffer();
				if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
				return;
			} catch (error) {
				if (attempt >= maxAttempts) throw Object.assign(/** @type {Error} */ (error), { attempt });
				reporter.capture(error, {
					source: 'worker',
					workflowId,
					projectId,
					attempt,
					maxAttempts,
					metadata: { run_id: runId, node_id: node.id }
				});
				await new Promise((resolve) => setTimeout(resolve, Math.min(backoffMs * 2 ** (attempt - 1), 8000)));
			}
		}
	};
}

/**
 * @param {JobQueue} queue
 * @param {import('../src/index.js').Reporter} reporter
 * @param {{ backoffMs?: number }} [options]
 */
export function startWorker(queue, reporter, options) {
	queue.process(
		'http',
		wrapJob(httpExecutor(reporter, options), {
			reporter,
			workflowIdOf: (job) => job.workflowId,
			projectIdOf: (job) => job.projectId,
			maxAttemptsOf: (job) => job.maxAttempts ?? 5,
			attemptOf: (_job, error) => /** @type {any} */ (error)?.attempt,
			metadataOf: (job) => ({ run_id: job.runId, node_id: job.node?.id })
		})
	);
}
