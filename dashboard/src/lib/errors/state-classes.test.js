import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

vi.mock('$env/dynamic/public', () => ({ env: {} }));
vi.mock('$lib/supabase.js', () => ({ createClient: () => ({}) }));

const { ApiError, databaseError } = await import('./api.js');
const { Resource } = await import('./resource.svelte.js');
const { Shortcuts } = await import('./shortcuts.svelte.js');
const { stablePart } = await import('./group.svelte.js');
const { thresholdsOf } = await import('./overview.svelte.js');
const { throttle } = await import('./throttle.js');

/** A promise and the means to settle it. */
function pending() {
	let resolve = /** @type {(value: any) => void} */ (() => {});
	let reject = /** @type {(error: any) => void} */ (() => {});
	const promise = new Promise((yes, no) => {
		resolve = yes;
		reject = no;
	});
	return { promise, resolve, reject };
}

describe('a resource', () => {
	it('goes from loading to ready, and stays with old data while a refresh fails', async () => {
		const answers = [Promise.resolve(1), Promise.reject(new Error('gone')), Promise.resolve(2)];
		const resource = new Resource(() => /** @type {Promise<number>} */ (answers.shift()));
		expect(resource.status).toBe('loading');
		await resource.load();
		expect([resource.status, resource.data]).toEqual(['ready', 1]);
		await resource.refresh();
		expect([resource.status, resource.data, resource.error?.message]).toEqual(['stale', 1, 'gone']);
		await resource.refresh();
		expect([resource.status, resource.data]).toEqual(['ready', 2]);
	});

	it('says so when the first answer fails', async () => {
		const resource = new Resource(() => Promise.reject(new ApiError('You may not do this.')));
		await resource.load();
		expect([resource.status, resource.error?.message]).toEqual(['error', 'You may not do this.']);
	});

	it('drops the answer to a question that is no longer asked', async () => {
		const first = pending();
		const second = pending();
		const calls = [first, second];
		/** @type {AbortSignal[]} */
		const signals = [];
		const resource = new Resource((signal) => {
			signals.push(signal);
			return /** @type {any} */ (calls.shift()).promise;
		});
		const one = resource.load();
		const two = resource.load();
		second.resolve('new');
		first.resolve('old');
		await Promise.all([one, two]);
		expect(resource.data).toBe('new');
		expect(signals[0].aborted).toBe(true);
	});

	it('asks once more after a call under way, however often it is told', async () => {
		let calls = 0;
		let gate = pending();
		const resource = new Resource(() => {
			calls++;
			return gate.promise;
		});
		const running = resource.load();
		for (let i = 0; i < 100; i++) resource.refresh();
		const before = gate;
		gate = pending();
		before.resolve(1);
		await running;
		gate.resolve(2);
		await vi.waitFor(() => expect(resource.data).toBe(2));
		expect(calls).toBe(2);
	});
});

describe('failures of the database name the field', () => {
	it.each([
		[
			{
				code: '23514',
				message:
					'new row for relation "alert_rules" violates check constraint "name_must_have_1_to_120_characters"'
			},
			400,
			{ name: 'Must have 1 to 120 characters.' }
		],
		[
			{ code: '23514', message: 'channel_id: the channel belongs to another project' },
			400,
			{ channel_id: 'The channel belongs to another project.' }
		],
		[
			{
				code: '42501',
				message: 'new row violates row-level security policy for table "alert_rules"'
			},
			403,
			{}
		]
	])('%j', (error, status, fields) => {
		const seen = databaseError(error, status);
		expect(seen.fields).toEqual(fields);
		expect(seen.forbidden).toBe(error.code === '42501');
	});
});

describe('shortcuts', () => {
	const press = (/** @type {string} */ key, /** @type {any} */ more = {}) =>
		/** @type {KeyboardEvent} */ (
			/** @type {unknown} */ ({
				key,
				timeStamp: 0,
				preventDefault() {},
				target: { tagName: 'BODY', closest: () => null },
				...more
			})
		);

	it('runs single keys and sequences, the latest registration first, and never while typing', async () => {
		/** @type {string[]} */
		const ran = [];
		const shortcuts = new Shortcuts();
		const one = (/** @type {string} */ keys, /** @type {string} */ name) => ({
			keys,
			does: name,
			run: () => ran.push(name)
		});
		shortcuts.add([one('r', 'layout'), one('g r', 'rules')]);
		const remove = shortcuts.add([one('r', 'page')]);
		await Promise.resolve();
		shortcuts.handle(press('r'));
		shortcuts.handle(press('g'));
		shortcuts.handle(press('r', { timeStamp: 500 }));
		shortcuts.handle(press('g', { timeStamp: 1000 }));
		shortcuts.handle(press('r', { timeStamp: 9000 }));
		shortcuts.handle(
			press('r', { target: { tagName: 'INPUT', type: 'text', closest: () => null } })
		);
		shortcuts.handle(press('r', { ctrlKey: true }));
		remove();
		await Promise.resolve();
		shortcuts.handle(press('r'));
		expect(ran).toEqual(['page', 'rules', 'page', 'layout']);
	});
});

describe('throttle', () => {
	beforeEach(() => void vi.useFakeTimers());
	afterEach(() => void vi.useRealTimers());

	it('runs at once, then once a gap, and never forgets the last call', () => {
		const run = vi.fn();
		const call = throttle(run, 1000);
		for (let i = 0; i < 50; i++) call();
		expect(run).toHaveBeenCalledTimes(1);
		vi.advanceTimersByTime(1000);
		expect(run).toHaveBeenCalledTimes(2);
		vi.advanceTimersByTime(5000);
		expect(run).toHaveBeenCalledTimes(2);
		call();
		expect(run).toHaveBeenCalledTimes(3);
	});
});

it.each([
	['order service answered 503 for customer [masked]', 'order service answered'],
	['amount must be a number, got "151,00"', 'amount must be a number, got'],
	['12345', '']
])('the stable part of %j is %j', (title, expected) => {
	expect(stablePart(title)).toBe(expected);
});

describe('thresholds in the trend', () => {
	const rule = {
		name: 'Burst',
		project_id: null,
		metric: 'count',
		window_seconds: 60,
		warning: 20,
		critical: 60,
		sources: [],
		error_types: [],
		severities: [],
		workflow_ids: [],
		message_contains: null,
		group_by: ['project']
	};
	const shown = { bucket: 60, project: 'acme', filtered: false };
	const values = (/** @type {any} */ changes, /** @type {any} */ more = {}) =>
		thresholdsOf([{ ...rule, ...changes }], { ...shown, ...more }).map(({ value }) => value);

	it.each([
		['a rule over all', {}, {}, [20, 60]],
		['several projects at once', {}, { project: null }, []],
		['a rule over all together', { group_by: [] }, {}, []],
		['all together', { group_by: [] }, { project: null, everything: true }, [20, 60]],
		['all together, a rule per project', {}, { project: null, everything: true }, []],
		['some together', { group_by: [] }, { project: null }, []],
		['the own project', { project_id: 'acme', group_by: [] }, {}, [20, 60]],
		['a filtered chart', {}, { filtered: true }, []],
		['a rule about something else', { severities: ['high'] }, {}, []],
		['a rule per workflow', { group_by: ['workflow'] }, {}, []],
		['another project', { project_id: 'globex' }, {}, []],
		['a longer window', { window_seconds: 300, critical: null }, {}, [4]],
		['a window shorter than a bucket', {}, { bucket: 900 }, []],
		[
			'a rate',
			{ metric: 'rate', window_seconds: 300, warning: 2, critical: null },
			{ bucket: 300 },
			[10]
		]
	])('%s', (_, changes, more, expected) => {
		expect(values(changes, more)).toEqual(expected);
	});
});
