import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { child } from './support/child.js';
import { finallyDo } from './support/endings.js';
import { Postgrest, postgrest } from './support/postgrest.js';
import { reporterFor, temporaryFolder, until } from './support/until.js';

const START = `const reporter = lib.createReporter({ token: 't', batchDelayMs: 10, minBackoffMs: 20, ...OPTIONS });`;

test('what a killed process had on disk is delivered by the next, but for a torn line', async (t) => {
	const gone = await postgrest(t);
	const spoolDir = temporaryFolder(t);
	const { port, url } = gone;
	await gone.stop();
	const script = `${START}
		for (let i = 0; i < 50; i++) reporter.capture(new Error('event ' + i));
		setInterval(() => {}, 1000);`;
	const victim = child(script, { url, spoolDir });
	const files = () =>
		readdirSync(spoolDir, { recursive: true }).map(String).filter((name) => name.endsWith('.ndjson'));
	const lines = () => files().flatMap((name) => readFileSync(join(spoolDir, name), 'utf8').match(/\n/g) ?? []);
	await until('all of it on disk', () => lines().length === 50);
	victim.process.kill('SIGKILL');
	await victim.ended;
	appendFileSync(join(spoolDir, files()[0]), '{"error_id":"0190b0a0-0000-7000-8000-00000000000');

	const server = await new Postgrest().start(port);
	finallyDo(t, () => server.stop());
	const { reporter } = reporterFor(t, server, { spoolDir });
	await until('all of it', () => server.rows.size === 50);
	await reporter.close();
	assert.equal(server.repeated, 0);
	assert.deepEqual(files(), []);
});

test('two processes share a folder and leave each other alone', async (t) => {
	const server = await postgrest(t);
	server.fault = { status: 503 };
	const spoolDir = temporaryFolder(t);
	const script = `${START}
		for (let i = 0; i < 30; i++) reporter.capture(new Error('event ' + i));
		setTimeout(async () => { const r = await reporter.close(8000); console.log(JSON.stringify(r)); process.exit(0); }, 600);`;
	const both = [child(script, { url: server.url, spoolDir }), child(script, { url: server.url, spoolDir })];
	await until('both spools', () => readdirSync(spoolDir).length === 2);
	await until('the outage to be noticed', () => server.requests.length > 3);
	server.fault = undefined;
	for (const { ended } of both) assert.match((await ended).output, /"delivered":true/);
	assert.equal(server.rows.size, 60);
	assert.equal(server.repeated, 0);
});

test('what ends the process is reported, and ends it all the same', async (t) => {
	/** @type {[string, string, RegExp][]} */
	const cases = [
		['uncaughtException', `setTimeout(() => { throw new TypeError('boom') }, 10); setInterval(() => {}, 1000);`, /TypeError: boom/],
		['unhandledRejection', `Promise.reject(new TypeError('boom')); setInterval(() => {}, 1000);`, /TypeError: boom/]
	];
	for (const [hook, script, printed] of cases) {
		const server = await postgrest(t);
		const { ended } = child(`${START} ${script}`, { url: server.url, hooks: true });
		const { code, errors } = await ended;
		assert.equal(code, 1, hook);
		assert.match(errors, printed, hook);
		const [row] = server.rows.values();
		assert.equal(row.severity, 'high');
		assert.equal(row.error_type, 'system.internal');
		assert.equal(row.metadata.hook, hook);
	}
});

test('a process that dies while the server is away leaves its last words on disk', async (t) => {
	const server = await postgrest(t);
	server.fault = { status: 503 };
	const spoolDir = temporaryFolder(t);
	const { ended } = child(`${START} setTimeout(() => { throw new Error('last words') }, 10);`, {
		url: server.url, spoolDir, hooks: true, maxBackoffMs: 100
	});
	assert.equal((await ended).code, 1);
	server.fault = undefined;
	reporterFor(t, server, { spoolDir });
	await until('the last words', () => server.rows.size === 1);
	assert.equal([...server.rows.values()][0].message, 'last words');
});

test('with a listener of its own a process lives on', async (t) => {
	const server = await postgrest(t);
	const script = `${START}
		process.on('uncaughtException', () => setTimeout(async () => { await reporter.close(); process.exit(7); }, 50));
		setTimeout(() => { throw new Error('boom') }, 10);`;
	const { code } = await child(script, { url: server.url, hooks: true }).ended;
	assert.equal(code, 7);
	assert.equal(server.rows.size, 1);
});

test('a process that has nothing left to do delivers first, and waits for no one', async (t) => {
	const server = await postgrest(t);
	assert.equal((await child(`${START} reporter.capture(new Error('x'));`, { url: server.url, hooks: true }).ended).code, 0);
	assert.equal(server.rows.size, 1);
	server.fault = 'hang';
	const started = Date.now();
	const { code } = await child(`${START} reporter.capture(new Error('x'));`, { url: server.url, hooks: true, timeoutMs: 500 }).ended;
	assert.equal(code, 0);
	assert.ok(Date.now() - started < 8000);
});

test('ten thousand errors, the server away in the middle: all once, memory bounded', async (t) => {
	const first = await postgrest(t);
	const { port, url } = first;
	const spoolDir = temporaryFolder(t);
	const script = `${START}
		for (let i = 0; i < 10_000; i++) {
			reporter.capture(new Error('event ' + i), { metadata: { i, filler: 'x'.repeat(500) } });
			if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
		}
		const captured = reporter.stats().captured;
		const result = await reporter.close(30_000);
		const { dropped, lost, refused } = reporter.stats();
		console.log(JSON.stringify({ ...result, captured, dropped, lost, refused, maxRssKb: process.resourceUsage().maxRSS }));`;
	// The queue has room for all: a disk that stalls for a second under the tests of others would
	// otherwise make it overflow, which is another promise.
	const maxQueueBytes = 64 * 1024 * 1024;
	const { ended } = child(script, { url, spoolDir, maxQueueBytes, maxBackoffMs: 500 });
	await until('the beginning', () => first.rows.size > 1000, 20_000);
	await first.stop();
	await new Promise((resolve) => setTimeout(resolve, 1500));
	const second = await new Postgrest().start(port);
	finallyDo(t, () => second.stop());
	const { output, errors } = await ended;
	const result = JSON.parse(output);
	const { delivered, captured, dropped, lost, refused } = result;
	assert.deepEqual([delivered, captured, dropped, lost, refused], [true, 10_000, 0, 0, 0], errors);
	const seen = [...first.rows.values(), ...second.rows.values()].map((row) => row.metadata.i);
	// What the first server had stored when it went down, but could not answer, comes again by its id.
	assert.equal(new Set(seen).size, 10_000);
	assert.equal(new Set([...first.rows.keys(), ...second.rows.keys()]).size, 10_000);
	assert.ok(result.maxRssKb < 220_000, `${result.maxRssKb} KiB`);
	t.diagnostic(`maximum resident size ${Math.round(result.maxRssKb / 1024)} MiB`);
});
