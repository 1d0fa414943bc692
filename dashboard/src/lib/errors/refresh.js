// Keeps what a page's `load` read up to date: after changes, after a lost connection, and on a clock.

import { invalidate } from '$app/navigation';
import { navigating } from '$app/state';

/** Not more often than this, however much happens. */
const AT_MOST_EVERY = 1_000;

/**
 * Reads a dependency of `load` anew when there may be something new. Use it in an effect, which calls
 * what it returns: `$effect(() => keepFresh(errors.live, 'errors:incidents', { table: 'alert_incidents' }))`.
 * @param {import('./live.svelte.js').Live} live
 * @param {string} dependency As given to `depends`.
 * @param {{ table?: string, every?: number }} options `table` is one that the tab follows; `every`
 *   reads anew after so many milliseconds in any case, while the tab is visible.
 * @returns {() => void}
 */
export function keepFresh(live, dependency, { table, every } = {}) {
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	let planned;
	let last = 0;
	const refresh = () => {
		if (planned) return;
		const wait = Math.max(navigating.to ? 300 : 0, last + AT_MOST_EVERY - Date.now());
		planned = setTimeout(() => {
			planned = undefined;
			if (navigating.to) {
				// Reading anew would call off where the user is going.
				refresh();
				return;
			}
			last = Date.now();
			if (document.visibilityState === 'visible') invalidate(dependency);
		}, wait);
	};
	const stops = [live.onResync(refresh)];
	if (table) stops.push(live.on(table, refresh));
	if (every) {
		const clock = setInterval(refresh, every);
		stops.push(() => clearInterval(clock));
	}
	return () => {
		clearTimeout(planned);
		for (const stop of stops) stop();
	};
}
