// Keyboard shortcuts: pages register theirs, `?` lists them, typing is never disturbed.

/**
 * @typedef {object} Shortcut
 * @property {string} keys As in `j`, `?`, `Enter`, or two after each other: `g r`.
 * @property {string} does What it does, for the list.
 * @property {() => void} run
 */

/** Two keys of a sequence must come within this time. */
const SEQUENCE = 1_200;

export class Shortcuts {
	/** @type {Shortcut[]} */
	list = $state.raw([]);
	/** Whether the list is shown. */
	helpOpen = $state(false);

	#first = '';
	#firstAt = 0;

	/**
	 * Registers shortcuts while a component lives: `$effect(() => shortcuts.add([…]))`.
	 * Later ones win where keys are the same.
	 * @param {Shortcut[]} shortcuts
	 * @returns {() => void} Takes them back.
	 */
	add(shortcuts) {
		// Registering must not depend on the list that it changes.
		queueMicrotask(() => (this.list = [...this.list, ...shortcuts]));
		return () => {
			queueMicrotask(
				() => (this.list = this.list.filter((shortcut) => !shortcuts.includes(shortcut)))
			);
		};
	}

	/** @param {KeyboardEvent} event */
	handle(event) {
		if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
		const sequence = this.#first && event.timeStamp - this.#firstAt < SEQUENCE;
		const keys = sequence ? `${this.#first} ${event.key}` : event.key;
		this.#first = '';
		const shortcut = this.list.findLast((one) => one.keys === keys);
		if (shortcut) {
			event.preventDefault();
			shortcut.run();
		} else if (this.list.some((one) => one.keys.startsWith(`${event.key} `))) {
			this.#first = event.key;
			this.#firstAt = event.timeStamp;
		}
	}
}

/**
 * Whether keys belong to what has the focus: a field, or an open dialog.
 * @param {KeyboardEvent} event
 */
export function isTyping(event) {
	const target = /** @type {Element | null} */ (event.target);
	if (!target || event.defaultPrevented) return Boolean(event.defaultPrevented);
	if (/** @type {HTMLElement} */ (target).isContentEditable) return true;
	if (target.closest?.('dialog')) return event.key !== '?';
	if (/^(TEXTAREA|SELECT)$/.test(target.tagName)) return true;
	if (target.tagName === 'INPUT') {
		const type = /** @type {HTMLInputElement} */ (target).type;
		return !['checkbox', 'radio', 'button', 'submit'].includes(type);
	}
	// Enter and Space press what has the focus.
	return (
		(event.key === 'Enter' || event.key === ' ') && Boolean(target.closest?.('a, button, summary'))
	);
}
