// Short messages about what the user just did.

/** @typedef {{ id: number, tone: 'success' | 'error' | 'info', text: string, action?: { label: string, run: () => void } }} Toast */

const AT_MOST = 4;
/** Failures stay until they are dismissed. */
const STAYS = 6_000;

export class Toasts {
	/** @type {Toast[]} */
	list = $state.raw([]);
	#next = 1;

	/** @param {string} text @param {Toast['action']} [action] */
	success(text, action) {
		this.#add({ tone: 'success', text, action });
	}

	/** @param {string} text @param {Toast['action']} [action] */
	info(text, action) {
		this.#add({ tone: 'info', text, action });
	}

	/** @param {unknown} problem */
	error(problem) {
		this.#add({
			tone: 'error',
			text: problem instanceof Error ? problem.message : String(problem)
		});
	}

	/** @param {number} id */
	dismiss(id) {
		this.list = this.list.filter((toast) => toast.id !== id);
	}

	/** @param {Omit<Toast, 'id'>} toast */
	#add(toast) {
		const id = this.#next++;
		this.list = [...this.list, { id, ...toast }].slice(-AT_MOST);
		if (toast.tone !== 'error') setTimeout(() => this.dismiss(id), STAYS);
	}
}
