import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Backoff, retryAfterMs } from '../src/backoff.js';
import { uuidv7 } from '../src/ids.js';
import { Queue } from '../src/queue.js';
import { Spool } from '../src/spool.js';
import { verdictOf } from '../src/transport.js';
import { temporaryFolder, vectors } from './support/until.js';

test('answers are judged as the shared vectors say', () => {
	for (const { status, code, verdict } of vectors('reporter-verdicts')) {
		assert.equal(verdictOf(status, code), verdict, `${status} ${code}`);
	}
});

test('the queue drops and gives as the shared vectors say', () => {
	for (const { about, max_items, max_bytes, push, dropped, take, taken } of vectors('reporter-queue')) {
		const queue = new Queue(max_items, max_bytes);
		const words = (/** @type {any[]} */ items) => items.map(({ severity, n }) => `${severity} ${n}`);
		const gone = push.flatMap((/** @type {string} */ text) => {
			const [severity, n, size] = text.split(' ');
			return queue.push(/** @type {any} */ ({ severity, n, size: Number(size) }));
		});
		assert.deepEqual(words(gone), dropped, about);
		assert.deepEqual(words(queue.take(take[0], take[1])), taken, about);
	}
});

test('Retry-After is read as the shared vectors say', () => {
	for (const { header, now, wait_ms } of vectors('reporter-retry-after')) {
		assert.equal(retryAfterMs(header, Date.parse(now)), wait_ms, String(header));
	}
});

test('waiting doubles, is spread, and ends at its maximum', () => {
	for (const [random, expected] of /** @type {const} */ ([[0, [50, 100, 200, 400, 500, 500]], [0.999999, [100, 200, 400, 800, 1000, 1000]]])) {
		const backoff = new Backoff(100, 1000, () => random);
		assert.deepEqual(expected.map(() => Math.round(backoff.next())), expected);
	}
	const backoff = new Backoff(100, 1000, () => 0);
	assert.equal(backoff.next(3000), 3000);
	assert.equal(backoff.next(1e9), 5000, 'a server cannot ask for for ever');
	backoff.reset();
	assert.equal(backoff.next(), 50);
});

test('ids are version 7, sort by time and do not repeat', () => {
	const ids = Array.from({ length: 50_000 }, (_, i) => uuidv7(1_800_000_000_000 + i));
	assert.equal(new Set(ids).size, ids.length);
	assert.deepEqual(ids.toSorted(), ids);
	for (const id of ids.slice(0, 100)) {
		assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	}
});

test('the spool keeps to its bound, and the oldest of the least severe goes first', async (t) => {
	const folder = temporaryFolder(t);
	const spool = new Spool(folder, { maxBytes: 4000, segmentBytes: 500, now: Date.now });
	const dropped = { low: 0, medium: 0, high: 0 };
	/** @param {'low' | 'medium' | 'high'} severity @param {number} n */
	const add = async (severity, n) => {
		const id = `${severity}-${n}`;
		const line = JSON.stringify({ error_id: id, severity, filler: 'x'.repeat(60) });
		const counts = await spool.append([{ id, severity, line }]);
		for (const key of /** @type {const} */ (['low', 'medium', 'high'])) dropped[key] += counts[key];
	};
	for (let n = 0; n < 15; n++) for (const severity of /** @type {const} */ (['low', 'medium', 'high'])) await add(severity, n);
	assert.ok(spool.bytes <= 4000);
	assert.ok(dropped.low > 0 && dropped.medium === 0 && dropped.high === 0, JSON.stringify(dropped));
	for (let n = 15; n < 60; n++) await add('high', n);
	assert.ok(spool.bytes <= 4000);
	assert.equal(dropped.low + dropped.medium, 30);
	assert.ok(dropped.high > 0);
	assert.equal(spool.events, 90 - 30 - dropped.high);
	/** @type {string[]} */
	const read = [];
	for (let batch = await spool.peek(7, 1e6); batch.length > 0; batch = await spool.peek(7, 1e6)) {
		read.push(...batch.map(({ id }) => id));
		await spool.done(batch.length);
	}
	const survivors = Array.from({ length: 60 - dropped.high }, (_, i) => `high-${i + dropped.high}`);
	assert.deepEqual(read, survivors);
	spool.removeIfEmpty();
	assert.deepEqual(readdirSync(folder), []);
});

test('the shipped types are those of the source', () => {
	const root = new URL('..', import.meta.url).pathname;
	const out = mkdtempSync(join(tmpdir(), 'error-reporter-types-'));
	try {
		const tsc = join(root, 'node_modules/typescript/bin/tsc');
		execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'pipe' });
		execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json', '--outDir', out], { cwd: root, stdio: 'pipe' });
		assert.deepEqual(readdirSync(out), readdirSync(join(root, 'types')), 'run `npm run types`');
		for (const name of readdirSync(out)) {
			const shipped = readFileSync(join(root, 'types', name), 'utf8');
			assert.equal(readFileSync(join(out, name), 'utf8'), shipped, `${name}: run \`npm run types\``);
		}
	} finally {
		rmSync(out, { recursive: true, force: true });
	}
});
