import { afterEach, beforeEach, expect, it, vi } from 'vitest';

/** @type {{ query: any, session: () => Promise<any> }} */
const given = { query: null, session: async () => ({ data: { session: null } }) };
vi.mock('$env/dynamic/public', () => ({
	env: { PUBLIC_ERROR_TRACKER_URL: 'http://tracker.test' }
}));
vi.mock('$lib/supabase.js', () => ({
	createClient: () => ({ rpc: () => given.query, auth: { getSession: () => given.session() } })
}));
vi.stubGlobal('window', {});

const { daemon, isAbort, rpc } = await import('./api.js');
const { Feed } = await import('./feed.svelte.js');
const { Resource } = await import('./resource.svelte.js');

/** A query that never answers, whatever its signal says. */
function hanging() {
	return Object.assign(new Promise(() => {}), {
		signal: /** @type {AbortSignal | null} */ (null),
		abortSignal(/** @type {AbortSignal} */ signal) {
			this.signal = signal;
		}
	});
}

const NO_FILTERS = /** @type {any} */ ({ sources: [], types: [], severities: [], text: '' });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
	vi.stubGlobal('window', {});
});

it('gives up on a database that does not answer, and says so', async () => {
	given.query = hanging();
	const resource = new Resource((signal) => rpc('slow', {}, { signal }));
	const loading = resource.load();
	await vi.advanceTimersByTimeAsync(15_000);
	await loading;
	expect([resource.status, resource.error?.message]).toEqual([
		'error',
		'The server takes too long to answer.'
	]);
	expect(given.query.signal.aborted).toBe(true);
	given.query = Promise.resolve({ data: 1, error: null });
	await resource.load();
	expect([resource.status, resource.data]).toEqual(['ready', 1]);
	expect(vi.getTimerCount()).toBe(0);
});

it('ends at once when it is called off, and leaves no timer', async () => {
	given.query = hanging();
	const caller = new AbortController();
	const asked = rpc('slow', {}, { signal: caller.signal }).catch((error) => error);
	caller.abort();
	expect(isAbort(await asked)).toBe(true);
	expect(given.query.signal.aborted).toBe(true);
	expect(isAbort(await rpc('slow', {}, { signal: caller.signal }).catch((error) => error))).toBe(
		true
	);
	expect(vi.getTimerCount()).toBe(0);
});

it.each([
	['a request', () => vi.stubGlobal('fetch', () => new Promise(() => {}))],
	[
		'an answer that never ends',
		() => vi.stubGlobal('fetch', async () => ({ ok: true, text: () => new Promise(() => {}) }))
	],
	['a session', () => (given.session = () => new Promise(() => {}))]
])('gives up on the tracker while it waits for %s', async (_, hang) => {
	hang();
	const asked = daemon('/api/x').catch((error) => error);
	await vi.advanceTimersByTimeAsync(30_000);
	expect((await asked).message).toBe('The error tracker takes too long to answer.');
	given.session = async () => ({ data: { session: null } });
});

it('lets the feed read on after a read that hung', async () => {
	given.query = hanging();
	const feed = new Feed(() => NO_FILTERS);
	const loading = feed.load();
	await vi.advanceTimersByTimeAsync(15_000);
	await loading;
	expect(feed.status).toBe('error');
	const row = { error_id: 'a', seq: 1 };
	given.query = Promise.resolve({
		data: { rows: [row], last_seq: 1, low_water: 1, more: false },
		error: null
	});
	feed.poke();
	await vi.advanceTimersByTimeAsync(1000);
	expect([feed.status, feed.rows]).toEqual(['ready', [row]]);
	feed.stop();
});

it('calls off what the feed reads when it starts over', async () => {
	const first = (given.query = hanging());
	const feed = new Feed(() => NO_FILTERS);
	const loading = feed.load();
	given.query = Promise.resolve({
		data: { rows: [], last_seq: 0, low_water: 0, more: false },
		error: null
	});
	await feed.load();
	await loading;
	expect(first.signal?.aborted).toBe(true);
	expect(feed.status).toBe('ready');
});
