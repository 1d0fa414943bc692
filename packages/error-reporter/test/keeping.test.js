import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Spool } from '../src/spool.js';
import { child } from './support/child.js';
import { postgrest } from './support/postgrest.js';
import { reporterFor, temporaryFolder, until } from './support/until.js';

// What is kept: on disk, in memory, and through what goes wrong there.

/** @typedef {'low' | 'medium' | 'high'} Severity */

/** @param {number} n @param {Severity} [severity] */
function event(n, severity = 'high') {
	const id = `0190b0a0-0000-7000-8000-${String(n).padStart(12, '0')}`;
	return { id, severity, line: JSON.stringify({ error_id: id, severity, n, filler: 'x'.repeat(60) }) };
}

/** @param {string} folder */
function files(folder) {
	const names = readdirSync(folder, { recursive: true }).map(String);
	return names.filter((name) => name.endsWith('.ndjson')).map((name) => join(folder, name));
}

/** @param {import('../src/event.js').Sealed[]} events */
const numbers = (events) => events.map(({ line }) => JSON.parse(line).n);

/** A folder of a process that is gone. @param {string} base */
function deadFolder(base) {
	const folder = join(base, `${hostname().replaceAll('~', '-')}~4194399~1763800000000~0a1b2c3d`);
	mkdirSync(folder, { recursive: true });
	return folder;
}

const LIMITS = { maxBytes: 1 << 20, segmentBytes: 500, now: Date.now };

test('what is parked waits for everything else and forgets nothing', async (t) => {
	const spool = new Spool(temporaryFolder(t), LIMITS);
	await spool.append([event(1), event(2), event(3)]);
	assert.deepEqual(numbers(await spool.peek(1, 1000)), [1]);
	await spool.done(1);
	assert.equal(spool.park(), false, 'there is nothing else');
	await spool.append([event(4, 'low')]);
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [4]);
	assert.equal(spool.park(), false);
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [2, 3]);
	assert.equal(spool.events, 3);
});

test('what cannot be read now is kept, counted before it goes, and holds up nothing else', async (t) => {
	const base = temporaryFolder(t);
	const lines = [1, 2, 3, 4].map((n) => `${event(n, 'low').line}\n`).join('');
	writeFileSync(join(deadFolder(base), '000000000001-low.ndjson'), lines);
	const spool = new Spool(base, { ...LIMITS, maxBytes: 2 * lines.length });
	spool.adopt();
	const [path] = files(base);
	renameSync(path, `${path}.aside`);
	mkdirSync(path);
	const high = Array.from({ length: 10 }, (_, n) => event(n + 10));
	assert.deepEqual(await spool.append(high), { low: 0, medium: 0, high: 10 }, 'those that can be counted');
	await assert.rejects(spool.peek(10, 1000), { code: 'EISDIR' });
	assert.equal(spool.events, 1);
	renameSync(path, `${path}.folder`);
	renameSync(`${path}.aside`, path);
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [1, 2, 3, 4]);
});

test('a folder whose adoption failed is kept and tried again', async (t) => {
	const base = temporaryFolder(t);
	const spool = new Spool(base, LIMITS);
	spool.adopt();
	const taken = join(base, readdirSync(base)[0], 'taken~0a1b2c3d');
	mkdirSync(taken);
	writeFileSync(join(taken, '000000000001-high.ndjson'), `${event(1).line}\n`);
	spool.removeIfEmpty();
	assert.ok(existsSync(taken), 'not lost when the process ends');
	spool.adopt();
	assert.ok(!existsSync(taken));
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [1]);
});

test('what a crash saves does not follow a torn line', async (t) => {
	const base = temporaryFolder(t);
	const spool = new Spool(base, LIMITS);
	await spool.append([event(1)]);
	appendFileSync(files(base)[0], event(2).line.slice(0, 40));
	spool.appendNow([event(3)]);
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [1]);
	await spool.done(1);
	assert.deepEqual(numbers(await spool.peek(10, 1000)), [3]);
});

test('a folder is touched also while its owner waits', async (t) => {
	t.mock.timers.enable({ apis: ['setInterval'] });
	const server = await postgrest(t);
	const spoolDir = temporaryFolder(t);
	reporterFor(t, server, { spoolDir });
	await until('the folder', () => readdirSync(spoolDir).length === 1);
	const folder = join(spoolDir, readdirSync(spoolDir)[0]);
	utimesSync(folder, 1e9, 1e9);
	t.mock.timers.tick(15_000);
	assert.ok(Date.now() - statSync(folder).mtimeMs < 60_000);
});

test('what the disk does not give back is kept, and everything else goes on', { skip: process.platform !== 'linux' }, async (t) => {
	const server = await postgrest(t);
	const spoolDir = temporaryFolder(t);
	// Reading there fails with EIO.
	symlinkSync('/proc/self/mem', join(deadFolder(spoolDir), '000000000001-high.ndjson'));
	const { reporter, logged } = reporterFor(t, server, { spoolDir });
	await until('the folder to be taken over', () => reporter.stats().pending === 1);
	for (let i = 0; i < 3; i++) {
		reporter.capture(new Error(`event ${i}`));
		await until('what is new', () => server.rows.size === i + 1);
	}
	await until('the complaint', () => logged.some(({ message }) => message === 'spool not read'));
	await until('only that to be left', () => reporter.stats().pending === 1);
	const [unreadable] = files(spoolDir);
	const row = {
		error_id: '0190b0a0-0000-7000-8000-000000000001', timestamp: '2026-11-22T10:00:00.000Z', source: 'worker',
		error_type: 'system.unknown', severity: 'high', workflow_id: null, project_id: null, message: 'x', metadata: {}
	};
	writeFileSync(`${unreadable}.repaired`, `${JSON.stringify(row)}\n`);
	renameSync(`${unreadable}.repaired`, unreadable);
	await until('what was kept', () => server.rows.size === 4);
	await reporter.close();
	assert.deepEqual(readdirSync(spoolDir), [], 'nothing is left behind');
});

test('a save that fails during a request loses nothing', async (t) => {
	const server = await postgrest(t);
	server.fault = 'hang';
	const file = join(temporaryFolder(t), 'a file where the folder should be');
	writeFileSync(file, '');
	const { reporter } = reporterFor(t, server, { spoolDir: file, timeoutMs: 300 });
	for (let i = 0; i < 8; i++) {
		reporter.capture(new Error(`event ${i}`));
		if (i === 2) await until('the request', () => server.requests.length === 1);
	}
	reporter.saveNow();
	server.fault = undefined;
	assert.deepEqual(await reporter.flush(8000), { delivered: true, pending: 0 });
	assert.equal(server.rows.size, 8);
	assert.equal(reporter.stats().delivered, 8);
});

test('a wall clock that is put back holds nothing up', async (t) => {
	const server = await postgrest(t);
	server.faults = [{ status: 503 }, { status: 503 }];
	let back = 0;
	const { reporter } = reporterFor(t, server, { now: () => Date.now() - back });
	reporter.capture(new Error('x'));
	await until('the first attempt', () => server.requests.length === 1);
	back = 3_600_000;
	reporter.capture(new Error('y'));
	await until('both', () => server.rows.size === 2, 5000);
});

test('neither errors nor texts keep in memory what they hold on to', async (t) => {
	setFlagsFromString('--expose-gc');
	const gc = runInNewContext('gc');
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server, { batchDelayMs: 60_000, maxQueueBytes: 1 << 30 });
	gc();
	const before = process.memoryUsage();
	for (let i = 0; i < 50; i++) {
		const response = { data: Buffer.alloc(4 << 20, i) };
		const text = `${'word '.repeat(400_000)}${i}`;
		reporter.capture(Object.assign(new Error(`with a response ${i}`), { response }), { metadata: { text } });
		// So that what is garbage can be collected.
		await new Promise((resolve) => setImmediate(resolve));
	}
	assert.equal(reporter.stats().pending, 50);
	gc();
	await new Promise((resolve) => setImmediate(resolve));
	gc();
	const after = process.memoryUsage();
	assert.ok(after.arrayBuffers - before.arrayBuffers < 40 << 20, `${after.arrayBuffers - before.arrayBuffers} bytes of buffers`);
	assert.ok(after.heapUsed - before.heapUsed < 30 << 20, `${after.heapUsed - before.heapUsed} bytes of texts`);
});

test('causes, stacks and small values count as memory', async (t) => {
	const server = await postgrest(t);
	const causes = () => {
		let error = new Error('x');
		for (let i = 0; i < 5; i++) error = new Error('word '.repeat(1600), { cause: error });
		return [error, {}];
	};
	const values = () => [new Error('x'), { metadata: Array.from({ length: 1000 }, (_, i) => i) }];
	for (const make of [causes, values]) {
		const { reporter } = reporterFor(t, server, { batchDelayMs: 60_000, maxQueueBytes: 1 << 20 });
		for (let i = 0; i < 100; i++) {
			const [error, options] = make();
			reporter.capture(error, /** @type {any} */ (options));
		}
		const { pending } = reporter.stats();
		assert.ok(pending >= 5 && pending <= 35, `${pending} of about 40 KiB each`);
	}
});

test('two reporters with hooks end the process as one does, and both deliver', async (t) => {
	const servers = [await postgrest(t), await postgrest(t)];
	const script = `
		for (const url of OPTIONS.urls) lib.createReporter({ token: 't', url, batchDelayMs: 10, hooks: true });
		setTimeout(() => { throw new TypeError('boom') }, 10); setInterval(() => {}, 1000);`;
	const { code, errors } = await child(script, { urls: servers.map(({ url }) => url) }).ended;
	assert.equal(code, 1);
	assert.equal(errors.match(/TypeError: boom/g)?.length, 1, errors);
	for (const { rows } of servers) {
		const [row] = rows.values();
		assert.deepEqual([row.severity, row.metadata.hook], ['high', 'uncaughtException']);
	}
});
