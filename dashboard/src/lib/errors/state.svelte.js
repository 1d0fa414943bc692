// What all pages below /errors share: who is asking, which range and filters the URL names, live
// rows, the tracker's health, messages to the user. The layout makes one and puts it into context.

import { goto } from '$app/navigation';
import { page } from '$app/state';
import { getContext, setContext } from 'svelte';
import { rpc, supabase } from './api.js';
import { parseFilters, writeFilters } from './filters.js';
import { Live } from './live.svelte.js';
import { parseRange, writeRange } from './range.js';
import { may, mayAnywhere } from './roles.js';
import { Shortcuts } from './shortcuts.svelte.js';
import { Toasts } from './toasts.svelte.js';

/** @typedef {import('./roles.js').Deed} Deed */
/** @typedef {import('./filters.js').Filters} Filters */
/** @typedef {{ id: string, name: string }} Project */
/** @typedef {{ id: string, project_id: string, name: string, slug: string, version: number }} Workflow */
/** @typedef {{ user: { id: string, email?: string }, roles: import('./roles.js').Roles, projects: Project[], workflows: Workflow[], tracker: Tracker, failed: string | null }} LayoutData */

/**
 * Health of the daemon as every page's banner needs it.
 * @typedef {object} Tracker
 * @property {number} now The database's clock then, in milliseconds since 1970.
 * @property {string | null} heartbeat_at Latest heartbeat of any leader; null where none ever ran.
 * @property {string | null} complete_through
 * @property {number} open_holes
 * @property {number} last_number The highest number of an error that the tracker knows of.
 * @property {{ what: string, detail: string }[]} problems
 */

/** A heartbeat older than this means that nobody watches. */
export const STALE_AFTER = 15_000;
const CHECK_EVERY = 5_000;

const KEY = Symbol('errors');

/** What else stays in a page's URL when its range or filters change. */
const STICKY = ['cols', 'group'];

/** Nobody was asked about a tracker, or did not answer. @type {Tracker} */
export const NO_TRACKER = {
	now: 0,
	heartbeat_at: null,
	complete_through: null,
	open_holes: 0,
	last_number: 0,
	problems: []
};

export class ErrorsState {
	/** The clock that relative times follow, in milliseconds since 1970; moves once a second. */
	now = $state(Date.now());
	/** @type {Tracker} */
	tracker = $state.raw(/** @type {Tracker} */ (NO_TRACKER));
	/** Whether the last look at the tracker's row failed. */
	trackerUnknown = $state(false);

	live = new Live();
	toasts = new Toasts();
	shortcuts = new Shortcuts();

	/** @type {() => LayoutData} */
	#data;
	/** How far the server's clock is ahead of this one. */
	#ahead = 0;

	/** @param {() => LayoutData} data The layout's data; a function, so that it stays current. */
	constructor(data) {
		this.#data = data;
		this.tracker = data().tracker;
		this.trackerUnknown = data().failed !== null;
		this.#ahead = (data().tracker.now || Date.now()) - Date.now();
	}

	user = $derived.by(() => this.#data().user);
	roles = $derived.by(() => this.#data().roles);
	projects = $derived.by(() => this.#data().projects);
	workflows = $derived.by(() => this.#data().workflows);
	/** Whether the caller sees anything at all; who has no role may not even ask for the tracker. */
	sees = $derived(this.roles.global !== null || this.projects.length > 0);

	range = $derived(parseRange(page.url.searchParams));
	/** @type {Filters} */
	filters = $derived(parseFilters(page.url.searchParams));

	/** Age of the tracker's heartbeat in milliseconds; infinite where there never was one. */
	heartbeatAge = $derived(
		this.tracker.heartbeat_at === null
			? Infinity
			: Math.max(0, this.now + this.#ahead - Date.parse(this.tracker.heartbeat_at))
	);
	/**
	 * Nobody watches: no rate on any page is to be believed. Judged by the last answer, because a
	 * database that cannot be asked says nothing about the tracker; nor does one that was never asked.
	 */
	trackerStale = $derived(
		this.tracker.now > 0 &&
			(this.tracker.heartbeat_at === null ||
				this.tracker.now - Date.parse(this.tracker.heartbeat_at) > STALE_AFTER)
	);

	/** The database's clock, as far as it is known, in milliseconds since 1970. */
	serverNow() {
		return Date.now() + this.#ahead;
	}

	/** Whether the caller may do something; without a project, whether anywhere. @param {Deed} deed @param {string | null} [project] */
	may(deed, project) {
		return project === undefined ? mayAnywhere(this.roles, deed) : may(this.roles, deed, project);
	}

	/** @param {string | null | undefined} id */
	projectName(id) {
		if (!id) return 'No project';
		return this.projects.find((project) => project.id === id)?.name ?? id.slice(0, 8);
	}

	/** @param {string | null | undefined} id */
	workflowName(id) {
		if (!id) return 'No workflow';
		const workflow = this.workflows.find((workflow) => workflow.id === id);
		return workflow ? `${workflow.name || workflow.slug} v${workflow.version}` : id.slice(0, 8);
	}

	/**
	 * Path and query of a page below /errors that keeps the present range and filters.
	 * @param {string} path
	 * @param {{ range?: { id?: string, from?: number | null, to?: number | null }, filters?: Partial<Filters>, keep?: boolean, params?: Record<string, string | null> }} [changes]
	 *   With `keep: false` only what is given stays.
	 */
	href(path, { range, filters, keep = true, params = {} } = {}) {
		const search = new URLSearchParams();
		if (keep) {
			writeRange(search, this.range);
			writeFilters(search, this.filters);
			if (path === '' || path === page.url.pathname) {
				for (const name of STICKY) {
					const value = page.url.searchParams.get(name);
					if (value) search.set(name, value);
				}
			}
		}
		if (range) writeRange(search, range);
		if (filters)
			writeFilters(search, { ...parseFilters(keep ? search : new URLSearchParams()), ...filters });
		for (const [name, value] of Object.entries(params)) {
			if (value === null) search.delete(name);
			else search.set(name, value);
		}
		const query = search.toString().replaceAll('%2C', ',').replaceAll('%3A', ':');
		// An empty path is this page; without a query that is `?`, since an empty link would keep it.
		return query ? `${path}?${query}` : path || '?';
	}

	/**
	 * Changes range or filters in the URL of this page.
	 * @param {Parameters<ErrorsState['href']>[1]} changes
	 */
	async show(changes) {
		await goto(this.href(page.url.pathname, changes), { keepFocus: true, noScroll: true });
	}

	/** Starts clock, live rows and the watch over the tracker; returns what stops them. */
	start() {
		const clock = setInterval(() => {
			if (document.visibilityState === 'visible') this.now = Date.now();
		}, 1000);
		const watch = setInterval(() => this.checkTracker(), CHECK_EVERY);
		const wake = () => {
			this.now = Date.now();
			this.checkTracker();
		};
		document.addEventListener('visibilitychange', wake);
		const stopLive = this.live.start();
		return () => {
			clearInterval(clock);
			clearInterval(watch);
			document.removeEventListener('visibilitychange', wake);
			stopLive();
		};
	}

	async checkTracker() {
		if (!this.sees && !this.#data().failed) return;
		try {
			const tracker = await readTracker(supabase());
			this.#ahead = tracker.now - Date.now();
			this.tracker = tracker;
			this.now = Date.now();
			this.trackerUnknown = false;
		} catch {
			this.trackerUnknown = true;
		}
	}
}

/**
 * The health of whoever leads, or led last.
 * @param {import('@supabase/supabase-js').SupabaseClient} client
 * @returns {Promise<Tracker>}
 */
export async function readTracker(client) {
	const { now, leader } = await rpc('tracker_status', {}, { on: client });
	return {
		now: Date.parse(now),
		heartbeat_at: leader?.heartbeat_at ?? null,
		complete_through: leader?.complete_through ?? null,
		open_holes: leader?.open_holes ?? 0,
		last_number: leader?.last_number ?? 0,
		problems: leader?.problems ?? []
	};
}

/** @param {ErrorsState} state */
export function setErrors(state) {
	return setContext(KEY, state);
}

/** The state of the surrounding layout. @returns {ErrorsState} */
export function getErrors() {
	return getContext(KEY);
}
