/**
 * Runs at once, then at most once a gap, however often it is called; the last call is never lost.
 * @param {() => unknown} run
 * @param {number} gap In milliseconds.
 * @returns {{ (): void, stop: () => void }}
 */
export function throttle(run, gap) {
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	let timer;
	let last = -Infinity;
	function call() {
		if (timer !== undefined) return;
		const wait = last + gap - performance.now();
		if (wait <= 0) {
			last = performance.now();
			run();
			return;
		}
		timer = setTimeout(() => {
			timer = undefined;
			last = performance.now();
			run();
		}, wait);
	}
	call.stop = () => {
		clearTimeout(timer);
		timer = undefined;
	};
	return call;
}
