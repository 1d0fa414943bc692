/** @import { Reporter } from './reporter.js' */

const FLUSH_MS = 2000;

/** Listeners of this package, of all its reporters: none of them keeps the process alive. */
const own = new Set();
/** How many reporters still deliver the last words of this process. */
let dying = 0;

/**
 * Captures what ends the process. Where nobody else listens, the process ends as it would have
 * without the hooks: the error on the error stream, exit code 1.
 * @param {Reporter} reporter
 * @returns {() => void} removes the hooks
 */
export function installHooks(reporter) {
	const onException = (/** @type {unknown} */ error) => fatal('uncaughtException', error);
	const onRejection = (/** @type {unknown} */ reason) => fatal('unhandledRejection', reason);
	let flushed = false;

	/** @param {'uncaughtException' | 'unhandledRejection'} hook @param {unknown} error */
	function fatal(hook, error) {
		// A listener of the application's own has decided that the process lives on.
		const alone = process.listeners(/** @type {'uncaughtException'} */ (hook)).every((listener) => own.has(listener));
		reporter.capture(error, {
			severity: alone ? 'high' : undefined,
			final: alone ? true : undefined,
			metadata: { hook }
		});
		if (!alone) return;
		// First to disk: what follows may not come to its end.
		reporter.saveNow();
		if (dying++ === 0) console.error(error);
		// The last of several reporters ends the process.
		reporter.flush(FLUSH_MS).finally(() => {
			if (--dying === 0) process.exit(1);
		});
	}

	/** Nothing is left to do, except to deliver; once, or an unreachable server would keep the process. */
	function onBeforeExit() {
		if (flushed || reporter.stats().pending === 0) return;
		flushed = true;
		reporter.flush(FLUSH_MS).finally(() => reporter.saveNow());
	}

	own.add(onException).add(onRejection);
	process.on('uncaughtException', onException);
	process.on('unhandledRejection', onRejection);
	process.on('beforeExit', onBeforeExit);
	return () => {
		process.off('uncaughtException', onException);
		process.off('unhandledRejection', onRejection);
		process.off('beforeExit', onBeforeExit);
		own.delete(onException);
		own.delete(onRejection);
	};
}
