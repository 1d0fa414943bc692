import { describe, expect, it, vi } from 'vitest';

vi.mock('$env/dynamic/public', () => ({ env: {} }));
vi.mock('$lib/supabase.js', () => ({ createClient: () => ({}) }));
vi.mock('$app/navigation', () => ({ goto: async () => {} }));
vi.mock('$app/state', () => ({ page: { url: new URL('http://host/errors') } }));

const { ErrorsState, NO_TRACKER } = await import('./state.svelte.js');

const AT = Date.parse('2026-03-01T12:00:00Z');

/** @param {any} changes */
function state(changes) {
	return new ErrorsState(() => ({
		user: { id: 'u' },
		roles: { global: null, projects: { p: 'viewer' } },
		projects: [{ id: 'p', name: 'P' }],
		workflows: [],
		tracker: NO_TRACKER,
		failed: null,
		...changes
	}));
}

/** @param {string | null} heartbeat_at */
const tracker = (heartbeat_at) => ({ ...NO_TRACKER, now: AT, heartbeat_at });
const NOBODY = { roles: { global: null, projects: {} }, projects: [] };

describe('a tracker', () => {
	it.each([
		['runs', { tracker: tracker('2026-03-01T11:59:50Z') }, false, false],
		['has stopped', { tracker: tracker('2026-03-01T11:59:40Z') }, true, false],
		['never ran', { tracker: tracker(null) }, true, false],
		['may not be asked for', NOBODY, false, false],
		['cannot be asked for', { ...NOBODY, failed: 'gone' }, false, true]
	])('that %s', (_, changes, stale, unknown) => {
		const errors = state(changes);
		expect([errors.trackerStale, errors.trackerUnknown]).toEqual([stale, unknown]);
	});
});

it('knows who sees nothing', () => {
	expect(state({}).sees).toBe(true);
	expect(state(NOBODY).sees).toBe(false);
	expect(state({ ...NOBODY, roles: { global: 'viewer', projects: {} } }).sees).toBe(true);
});
