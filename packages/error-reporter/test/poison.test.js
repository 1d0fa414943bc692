import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { postgrest } from './support/postgrest.js';
import { reporterFor, temporaryFolder, until } from './support/until.js';

const ALL = { delivered: true, pending: 0 };

/** @param {import('node:test').TestContext} t @param {number} status @param {string} code */
async function refusing(t, status, code) {
	const server = await postgrest(t);
	server.refuse = (row) => (row.metadata.bad ? { status, body: { code } } : undefined);
	return server;
}

test('events that are refused alone block nothing, and are given up when others are stored', async (t) => {
	for (const [status, code] of /** @type {const} */ ([[403, '42501'], [500, '54001'], [500, 'XX000']])) {
		for (const [spooled, storedBefore, bad] of /** @type {const} */ ([
			[false, false, 1], [false, true, 1], [false, false, 2], [false, true, 2], [true, false, 1], [true, true, 2]
		])) {
			const about = `${status} ${code}, ${spooled}, ${storedBefore}, ${bad}`;
			const server = await refusing(t, status, code);
			const options = { maxBackoffMs: 20, ...(spooled ? { spoolDir: temporaryFolder(t) } : {}) };
			const { reporter } = reporterFor(t, server, options);
			if (storedBefore) {
				reporter.capture(new Error('before'));
				assert.deepEqual(await reporter.flush(8000), ALL, about);
			}
			for (let i = 0; i < bad; i++) {
				const seen = server.requests.length;
				reporter.capture(new Error('bad'), { severity: 'high', metadata: { bad: true } });
				await until('the refusal', () => server.requests.length > seen);
			}
			// An internal error is suspected only when it comes again and again. Where the good ones are
			// stored before that, the bad ones are kept until another is.
			let good = 0;
			while (good < 3 || !(await reporter.flush(500)).delivered) {
				assert.ok(good < 10, `${about}: ${JSON.stringify(reporter.stats())}`);
				const seen = server.rows.size;
				reporter.capture(new Error(`good ${good++}`), { severity: 'low' });
				await until(about, () => server.rows.size > seen);
			}
			assert.equal(reporter.stats().refused, bad, about);
			assert.equal(server.rows.size, good + Number(storedBefore), about);
		}
	}
});

test('a batch of nothing but suspects makes room for what is new', async (t) => {
	const server = await refusing(t, 403, '42501');
	const { reporter } = reporterFor(t, server, { batchSize: 10 });
	for (let i = 0; i < 10; i++) reporter.capture(new Error('bad'), { metadata: { bad: true } });
	await until('the refusals', () => server.requests.length >= 10);
	reporter.capture(new Error('good'));
	assert.deepEqual(await reporter.flush(8000), ALL);
	assert.deepEqual([server.rows.size, reporter.stats().refused], [1, 10]);
});

test('without rights suspects on disk are kept until the rights are there', async (t) => {
	const server = await postgrest(t);
	server.fault = { status: 403, body: { code: '42501' } };
	const { reporter } = reporterFor(t, server, { spoolDir: temporaryFolder(t) });
	for (let i = 0; i < 9; i++) {
		reporter.capture(new Error(`event ${i}`), { severity: /** @type {const} */ (['low', 'medium', 'high'])[i % 3] });
	}
	await until('several attempts', () => server.requests.length > 100);
	assert.deepEqual([reporter.stats().refused, reporter.stats().pending], [0, 9]);
	server.fault = undefined;
	assert.deepEqual(await reporter.flush(8000), ALL);
	assert.equal(server.rows.size, 9);
});

test('no secret is in the log or on the disk', async (t) => {
	const server = await refusing(t, 400, '23514');
	const leak = { message: 'bad key planted-answer', code: '' };
	server.faults = ['reset', { status: 401, body: leak }, { status: 401, body: leak }, { status: 503, body: leak }];
	const spoolDir = temporaryFolder(t);
	const { reporter, logged } = reporterFor(t, server, { spoolDir, token: 'planted-token-7f3a', apikey: 'planted-apikey-91bc' });
	const cause = new Error('GET https://u:planted-pass-2@example.com/');
	reporter.capture(new Error('login with password=planted-pass-1 failed', { cause }), {
		metadata: { bad: true, api_key: 'planted-key-3', headers: { Authorization: 'Bearer planted-bearer-4' } }
	});
	let onDisk = '';
	await until('the refusal', () => {
		for (const name of readdirSync(spoolDir, { recursive: true }).map(String)) {
			try {
				if (name.endsWith('.ndjson')) onDisk += readFileSync(join(spoolDir, name), 'utf8');
			} catch {
				// Delivered in the meantime.
			}
		}
		return reporter.stats().refused === 1;
	});
	const log = JSON.stringify(logged);
	assert.match(log, /server not reached.*event refused/);
	assert.match(onDisk, /\[masked\]/, 'it was on disk in the meantime');
	for (const text of [log, onDisk]) assert.doesNotMatch(text, /planted-/);
});
