import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { finallyDo } from './support/endings.js';
import { Postgrest, postgrest } from './support/postgrest.js';
import { reporterFor, temporaryFolder, until } from './support/until.js';

/** @typedef {import('./support/postgrest.js').Fault} Fault */

test('whatever the server does, each event arrives once in the end', async (t) => {
	/** @type {[string, Fault[]][]} */
	const cases = [
		['500', [{ status: 500 }, { status: 500 }]],
		['503 of PostgREST', [{ status: 503, body: { code: 'PGRST000' } }]],
		['a gateway that answers HTML', [{ status: 502, body: '<html>' }]],
		['429', [{ status: 429, headers: { 'retry-after': '0' } }]],
		['a missing table, until the migration is applied', [{ status: 404, body: { code: 'PGRST205' } }]],
		['a column that PostgREST does not know yet', [{ status: 400, body: { code: 'PGRST204' } }]],
		['a redirect', [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }]],
		['a deadlock', [{ status: 500, body: { code: '40P01' } }]],
		['a statement time-out', [{ status: 500, body: { code: '57014' } }]],
		['a reset', ['reset', 'reset']],
		['silence', ['hang']],
		['a refused token, twice', [{ status: 401 }, { status: 401 }, { status: 401 }, { status: 401 }]],
		['rights that are missing at first', [{ status: 403, body: { code: '42501' } }]]
	];
	for (const spool of [false, true]) {
		for (const [about, faults] of cases) {
			const server = await postgrest(t);
			server.faults = faults.slice();
			const options = { timeoutMs: 200, ...(spool ? { spoolDir: temporaryFolder(t) } : {}) };
			const { reporter } = reporterFor(t, server, options);
			const ids = [1, 2, 3].map((i) => reporter.capture(new Error(`event ${i}`)));
			assert.deepEqual(await reporter.flush(8000), { delivered: true, pending: 0 }, about);
			assert.deepEqual([...server.rows.keys()].sort(), ids.sort(), about);
			assert.equal(server.repeated, 0, about);
			assert.equal(reporter.stats().refused, 0, about);
		}
	}
});

test('a lost answer does not store anything twice', async (t) => {
	const server = await postgrest(t);
	let lost = 0;
	const { reporter } = reporterFor(t, server, {
		fetch: async (...args) => {
			const response = await fetch(...args);
			if (lost++ === 0) throw new TypeError('fetch failed');
			return response;
		}
	});
	reporter.capture(new Error('once'));
	await reporter.flush();
	assert.equal(server.rows.size, 1);
	assert.equal(server.repeated, 1);
});

test('one bad event does not hold up the others, and is named once', async (t) => {
	const server = await postgrest(t);
	server.refuse = (row) =>
		row.metadata.bad ? { status: row.metadata.bad, body: { code: row.metadata.code ?? '23514', message: 'no' } } : undefined;
	for (const [bad, code] of [[400, '23514'], [400, '22P05'], [409, '23503'], [413, ''], [403, '42501'], [500, '54001']]) {
		for (const total of [2, 7, 100]) {
			const { reporter, logged } = reporterFor(t, server, { batchSize: 100 });
			server.rows.clear();
			/** @type {(string | null)[]} */
			const ids = [];
			for (let i = 0; i < total; i++) {
				const metadata = i === total >> 1 ? { bad, code } : {};
				ids.push(reporter.capture(new Error(`event ${i}`), { metadata }));
			}
			await reporter.flush();
			assert.equal(server.rows.size, total - 1, `${bad} of ${total}`);
			assert.deepEqual(logged, [
				{ message: 'event refused', fields: { error_id: ids[total >> 1], status: bad, code } }
			]);
			assert.equal(reporter.stats().pending, 0);
		}
	}
});

test('an internal error that one event causes again and again is found', async (t) => {
	const server = await postgrest(t);
	server.refuse = (row) => (row.metadata.bad ? { status: 500, body: { code: 'XX000' } } : undefined);
	const { reporter, logged } = reporterFor(t, server, { maxBackoffMs: 20 });
	for (let i = 0; i < 5; i++) reporter.capture(new Error(`event ${i}`), { metadata: { bad: i === 2 } });
	await until('the others', () => server.rows.size === 4 && reporter.stats().refused === 1);
	assert.equal(logged.filter(({ message }) => message === 'event refused').length, 1);
});

test('a reporter without rights loses nothing', async (t) => {
	const server = await postgrest(t);
	server.fault = { status: 403, body: { code: '42501', message: 'permission denied for table error_metrics' } };
	const { reporter } = reporterFor(t, server, { batchSize: 50 });
	for (let i = 0; i < 120; i++) reporter.capture(new Error(`event ${i}`));
	assert.equal((await reporter.flush(300)).delivered, false);
	assert.equal(reporter.stats().refused, 0);
	server.fault = undefined;
	assert.equal((await reporter.flush(5000)).delivered, true);
	assert.equal(server.rows.size, 120);
});

test('a token that expires is asked for again, and the batch goes out at once', async (t) => {
	const server = await postgrest(t);
	server.token = 'new';
	/** @type {boolean[]} */
	const asked = [];
	const { reporter } = reporterFor(t, server, {
		token: undefined,
		minBackoffMs: 5000,
		maxBackoffMs: 5000,
		getToken: (refresh) => {
			asked.push(refresh);
			return refresh ? 'new' : 'old';
		}
	});
	reporter.capture(new Error('x'));
	assert.deepEqual(await reporter.flush(2000), { delivered: true, pending: 0 });
	assert.deepEqual(asked, [false, true]);
});

test('Retry-After is honoured', async (t) => {
	const server = await postgrest(t);
	server.faults = [{ status: 429, headers: { 'retry-after': '0.25' } }];
	const { reporter } = reporterFor(t, server, { minBackoffMs: 1, maxBackoffMs: 100 });
	reporter.capture(new Error('x'));
	await reporter.flush();
	const [first, second] = server.requests;
	assert.ok(second.at - first.at >= 240, `${second.at - first.at} ms`);
});

test('during an outage events go to disk and come back with their own times', async (t) => {
	const server = await postgrest(t);
	const port = server.port;
	const spoolDir = temporaryFolder(t);
	const { reporter } = reporterFor(t, server, { spoolDir, batchSize: 20 });
	await server.stop();
	/** @type {Map<string | null, number>} */
	const times = new Map();
	for (let i = 0; i < 100; i++) {
		const at = Date.now() - 60_000 - i * 1000;
		const severity = /** @type {const} */ (['low', 'medium', 'high'])[i % 3];
		times.set(reporter.capture(new Error(`event ${i} of jane@example.com`), { severity, timestamp: at }), at);
	}
	await until('all on disk', () => {
		const files = readdirSync(spoolDir, { recursive: true }).filter((name) => String(name).endsWith('.ndjson'));
		return files.length >= 3 && reporter.stats().pending === 100;
	});
	const back = await new Postgrest().start(port);
	finallyDo(t, () => back.stop());
	assert.equal((await reporter.flush(8000)).delivered, true);
	assert.equal(back.rows.size, 100);
	assert.equal(back.repeated, 0);
	for (const [id, at] of times) assert.equal(Date.parse(back.rows.get(String(id)).timestamp), at);
	assert.ok(!JSON.stringify([...back.rows.values()]).includes('jane@'));
	await reporter.close();
	assert.deepEqual(readdirSync(spoolDir), [], 'nothing is left behind');
});
