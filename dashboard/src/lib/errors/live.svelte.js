// Live rows through Supabase Realtime, for a whole tab: one channel a table, rows coalesced per frame.
//
// A tab subscribes to few and small tables only (`error_rates_live`, `alert_incidents`). Raw error
// rows are never subscribed to: each subscriber multiplies Realtime's cost. Rows tell that there is
// something new; what is shown is fetched.

import { supabase } from './api.js';

/** @typedef {'connecting' | 'live' | 'reconnecting' | 'polling' | 'stopped'} LiveStatus */
/** @typedef {{ table: string, key: string, row: any, kind: 'INSERT' | 'UPDATE' | 'DELETE' }} LiveRow */

/** Without a subscription for this long, listeners are told to ask by themselves. */
const POLL_AFTER = 5_000;
/** First pause between two polls; it grows to the last. */
const POLL_FIRST = 3_000;
const POLL_LAST = 30_000;
/** Realtime says that it is subscribed shortly before it is; so listeners ask once more. */
const ASK_AGAIN = 2_000;
/** While the tab is hidden nothing is drawn; rows are handed on this often. */
const HIDDEN_EVERY = 1_000;

/**
 * The tables that a tab follows, each with its primary key.
 * @type {Record<string, string>}
 */
export const LIVE_TABLES = { error_rates_live: 'live_id', alert_incidents: 'incident_id' };

export class Live {
	/** @type {LiveStatus} */
	status = $state('stopped');
	/** When the connection was last known to work, in milliseconds since 1970. @type {number | null} */
	goodAt = $state.raw(null);

	/** @type {Map<string, Set<(rows: LiveRow[]) => void>>} */
	#listeners = new Map();
	/** @type {Set<() => void>} */
	#resync = new Set();
	/** @type {Map<string, LiveRow>} */
	#waiting = new Map();
	/** @type {import('@supabase/supabase-js').RealtimeChannel[]} */
	#channels = [];
	/** @type {Set<string>} */
	#joined = new Set();
	#flushPlanned = false;
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	#poll;
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	#askAgain;

	/** Subscribes. Call it in `onMount`, and what it returns on destroy. */
	start() {
		this.status = 'connecting';
		for (const [table, key] of Object.entries(LIVE_TABLES)) {
			const channel = supabase().channel(`dashboard:${table}`);
			channel
				.on('postgres_changes', { event: '*', schema: 'public', table }, (change) =>
					this.#take(table, key, change)
				)
				.on('system', {}, (message) => {
					if (message?.extension === 'postgres_changes' && message.status === 'ok')
						this.#caughtUp();
				})
				.subscribe((status) => this.#subscribed(table, status));
			this.#channels.push(channel);
		}
		this.#planPoll(POLL_AFTER, POLL_FIRST);
		// A laptop that wakes up learns of its dead socket late; asking is cheap.
		const visible = () => {
			if (document.visibilityState === 'visible') this.#caughtUp();
		};
		document.addEventListener('visibilitychange', visible);
		window.addEventListener('online', visible);
		return () => {
			document.removeEventListener('visibilitychange', visible);
			window.removeEventListener('online', visible);
			this.stop();
		};
	}

	/** Leaves all channels. */
	stop() {
		clearTimeout(this.#poll);
		clearTimeout(this.#askAgain);
		for (const channel of this.#channels) supabase().removeChannel(channel);
		this.#channels = [];
		this.#joined.clear();
		this.#waiting.clear();
		this.status = 'stopped';
	}

	/**
	 * Hands on the rows of a table that changed, the latest of each key, at most once a frame.
	 * @param {string} table
	 * @param {(rows: LiveRow[]) => void} listener
	 * @returns {() => void} Stops it.
	 */
	on(table, listener) {
		const listeners = this.#listeners.get(table) ?? new Set();
		this.#listeners.set(table, listeners.add(listener));
		return () => listeners.delete(listener);
	}

	/**
	 * Called when rows may have been missed, and from time to time while there is no subscription:
	 * ask for what is new.
	 * @param {() => void} listener
	 * @returns {() => void} Stops it.
	 */
	onResync(listener) {
		this.#resync.add(listener);
		return () => this.#resync.delete(listener);
	}

	/** @param {string} table @param {string} status */
	#subscribed(table, status) {
		if (this.status === 'stopped') return;
		if (status === 'SUBSCRIBED') {
			this.#joined.add(table);
			if (this.#joined.size === Object.keys(LIVE_TABLES).length) {
				clearTimeout(this.#poll);
				this.status = 'live';
				this.#caughtUp();
				clearTimeout(this.#askAgain);
				this.#askAgain = setTimeout(() => this.#caughtUp(), ASK_AGAIN);
			}
			return;
		}
		const wasLive = this.status === 'live';
		this.#joined.delete(table);
		if (wasLive || this.status === 'connecting') this.status = 'reconnecting';
		if (wasLive) this.#planPoll(POLL_AFTER, POLL_FIRST);
	}

	/** @param {number} wait @param {number} next */
	#planPoll(wait, next) {
		clearTimeout(this.#poll);
		this.#poll = setTimeout(() => {
			if (this.status === 'live' || this.status === 'stopped') return;
			this.status = 'polling';
			for (const listener of this.#resync) listener();
			this.#planPoll(next, Math.min(next * 1.5, POLL_LAST));
		}, wait);
	}

	#caughtUp() {
		this.goodAt = Date.now();
		for (const listener of this.#resync) listener();
	}

	/** @param {string} table @param {string} key @param {any} change */
	#take(table, key, change) {
		const row = change.eventType === 'DELETE' ? change.old : change.new;
		const id = String(row?.[key]);
		this.#waiting.set(`${table} ${id}`, { table, key: id, row, kind: change.eventType });
		this.goodAt = Date.now();
		if (this.#flushPlanned) return;
		this.#flushPlanned = true;
		const flush = () => this.#flush();
		if (document.visibilityState === 'visible') requestAnimationFrame(flush);
		else setTimeout(flush, HIDDEN_EVERY);
	}

	#flush() {
		this.#flushPlanned = false;
		const rows = [...this.#waiting.values()];
		this.#waiting.clear();
		for (const [table, listeners] of this.#listeners) {
			const own = rows.filter((row) => row.table === table);
			if (own.length > 0) for (const listener of listeners) listener(own);
		}
	}
}
