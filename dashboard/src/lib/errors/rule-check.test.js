import { afterEach, beforeEach, expect, it, vi } from 'vitest';

vi.mock('$env/dynamic/public', () => ({
	env: { PUBLIC_ERROR_TRACKER_URL: 'http://tracker.test' }
}));
vi.mock('$lib/supabase.js', () => ({
	createClient: () => ({ auth: { getSession: async () => ({ data: { session: null } }) } })
}));
vi.stubGlobal('window', {});

const { RuleCheck } = await import('./rule-check.svelte.js');

/** @type {any[]} */
let asked;
/** @type {{ ok: boolean, status: number, text: () => Promise<string> }} */
let answer;

beforeEach(() => {
	vi.useFakeTimers();
	asked = [];
	vi.stubGlobal('fetch', async (/** @type {string} */ url, /** @type {any} */ options) => {
		asked.push([new URL(url).pathname, JSON.parse(options.body).rule.name]);
		return answer;
	});
});
afterEach(() => void vi.useRealTimers());

/** @param {number} status @param {unknown} body */
const says = (status, body) => ({
	ok: status < 400,
	status,
	text: async () => JSON.stringify(body)
});

it('asks once after typing, and puts each message under its field', async () => {
	answer = says(200, {
		errors: [
			{ field: 'rule.warning', message: 'must be above 0' },
			{ field: 'rule.warning', message: 'must not be above critical' },
			{ field: 'rule.window_seconds', message: 'must be whole minutes' }
		]
	});
	const check = new RuleCheck();
	expect(check.problems).toBeNull();
	for (const name of ['B', 'Bu', 'Burst']) check.ask({ name });
	await vi.advanceTimersByTimeAsync(400);
	expect(asked).toEqual([['/api/alert-rules/check', 'Burst']]);
	expect(check.problems).toEqual({
		warning: 'Must be above 0.',
		window_seconds: 'Must be whole minutes.'
	});
	answer = says(200, { errors: [] });
	check.ask({ name: 'Fine' });
	await vi.advanceTimersByTimeAsync(400);
	expect(check.problems).toEqual({});
	check.stop();
});

it('says nothing where the tracker does not answer, and asks no more once stopped', async () => {
	answer = says(503, { detail: 'later' });
	const check = new RuleCheck();
	check.ask({ name: 'a' });
	await vi.advanceTimersByTimeAsync(400);
	expect(check.problems).toBeNull();
	check.ask({ name: 'b' });
	check.stop();
	await vi.advanceTimersByTimeAsync(1000);
	expect(asked).toHaveLength(1);
});
