import { writable } from 'svelte/store';
import { browser } from '$app/environment';

const KEY = 'meshhook-theme';

/** @returns {'light' | 'dark'} */
function present() {
	return browser && document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
}

const { subscribe, set } = writable(present());

/** The theme: `light` or `dark`, on the `data-theme` attribute of the document. */
export const theme = {
	subscribe,
	toggle() {
		const next = present() === 'dark' ? 'light' : 'dark';
		document.documentElement.dataset.theme = next;
		localStorage.setItem(KEY, next);
		set(next);
	}
};
