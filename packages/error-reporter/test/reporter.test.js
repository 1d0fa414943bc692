import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReporter } from '../src/index.js';
import { postgrest } from './support/postgrest.js';
import { reporterFor, until } from './support/until.js';

const WORKFLOW = '0190b0a0-0000-7000-8000-000000000001';
const PROJECT = '0190b0a0-0000-7000-8000-000000000002';

test('an error becomes a row, masked, with what was said of it', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server, { context: { release: 'r1' } });
	const before = Date.now();
	const error = Object.assign(new Error('GET https://u:hunter22@api.example.com failed: HTTP 503'), { status: 503 });
	const id = reporter.capture(error, {
		workflowId: WORKFLOW,
		projectId: PROJECT,
		attempt: 5,
		maxAttempts: 5,
		metadata: { run_id: 'r-1', headers: { Authorization: 'Bearer abcdefgh123', accept: '*/*' } }
	});
	assert.deepEqual(await reporter.flush(), { delivered: true, pending: 0 });

	const [request] = server.requests;
	assert.equal(request.path, '/rest/v1/error_metrics?on_conflict=error_id');
	assert.equal(request.headers.prefer, 'return=minimal,resolution=ignore-duplicates');
	assert.equal(request.headers.authorization, 'Bearer a-token');
	assert.equal(request.headers.apikey, 'an-apikey');
	const { timestamp, metadata, ...row } = server.rows.get(/** @type {string} */ (id));
	assert.deepEqual(row, {
		error_id: id,
		source: 'worker',
		error_type: 'execution.http_status',
		severity: 'high',
		workflow_id: WORKFLOW,
		project_id: PROJECT,
		message: 'GET https://[masked]@api.example.com failed: HTTP 503'
	});
	assert.ok(Date.parse(timestamp) >= before && Date.parse(timestamp) <= Date.now());
	assert.equal(metadata.release, 'r1');
	assert.equal(metadata.run_id, 'r-1');
	assert.deepEqual(metadata.headers, { Authorization: '[masked]', accept: '*/*' });
	assert.equal(metadata.exception.status, 503);
	assert.match(metadata.exception.stack, /reporter\.test\.js/);
	assert.ok(!JSON.stringify(request.rows).includes('hunter22'), 'neither in message nor in stack');
});

test('whatever is thrown, and whatever is said of it, is captured and never throws', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	/** @type {any} */
	const circular = { name: 'x' };
	circular.self = circular;
	const hostile = {
		get message() {
			throw new Error('no message for you');
		},
		get cause() {
			throw new Error('no cause either');
		}
	};
	const proxy = new Proxy({}, { get: () => { throw new Error('no'); }, ownKeys: () => { throw new Error('no'); } });
	/** @type {any[]} */
	const errors = [undefined, null, 0, '', 'text', 12n, Symbol('s'), () => 1, [], {}, hostile, proxy, new Date(NaN),
		Object.create(null), new AggregateError([new Error('inner')]), Object.assign(new Error('c'), { cause: circular })];
	/** @type {any[]} */
	const options = [undefined, null, {}, { metadata: circular }, { metadata: 'text' }, { metadata: [1] }, { metadata: proxy },
		{ source: 'nonsense', severity: 'worst', errorType: 'no such class', workflowId: 17, projectId: 'x' },
		{ timestamp: new Date(NaN) }, { timestamp: Infinity }, { metadata: { big: 1n, nan: NaN, f() {}, m: new Map([['k', 1]]), b: Buffer.alloc(1e6) } },
		{ metadata: { text: 'a\0b\ud800c', ['k\0\udfff']: 1 } }, { metadata: { big: 'x '.repeat(5e6) } },
		{ metadata: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, 'value'.repeat(20)])) }];
	let captured = 0;
	for (const error of errors) {
		for (const option of options) {
			const id = reporter.capture(error, option);
			if (id !== null) captured++;
		}
	}
	await reporter.flush();
	// A proxy that refuses everything is the one thing that cannot be described.
	const describable = errors.length * options.length;
	assert.ok(captured >= describable * 0.9, `${captured} of ${describable}`);
	assert.equal(server.rows.size, captured);
	for (const row of server.rows.values()) {
		const text = JSON.stringify(row);
		assert.ok(text.length < 40_000, 'bounded');
		assert.ok(!text.includes('\\u0000') && !text.includes('\\ud800'), 'storable');
		assert.match(row.error_type, /^(system|execution|input)(\.[a-z0-9_-]+)*$/);
		assert.ok(['low', 'medium', 'high'].includes(row.severity));
		assert.ok(['worker', 'webhook', 'system'].includes(row.source));
		assert.ok(row.workflow_id === null && row.project_id === null);
	}
	const odd = [...server.rows.values()].find((row) => row.metadata._tracker?.invalid_error_type);
	assert.deepEqual(odd.metadata._tracker, {
		invalid_source: 'nonsense', invalid_severity: 'worst', invalid_error_type: 'no such class',
		unknown_workflow_id: '17', unknown_project_id: 'x'
	});
});

test('ten thousand errors of one moment are ten thousand rows, in batches', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server, { batchSize: 500 });
	for (let i = 0; i < 10_000; i++) reporter.capture(new Error('same'), { metadata: { i } });
	await reporter.flush(20_000);
	assert.equal(server.rows.size, 10_000);
	assert.equal(server.repeated, 0);
	assert.ok(server.requests.length <= 30);
	assert.equal(new Set([...server.rows.values()].map((row) => row.metadata.i)).size, 10_000);
});

test('equal errors become one event with a count only where that is asked for', async (t) => {
	for (const [collapseRepeats, rows, count] of [[false, 5, undefined], [true, 1, 5]]) {
		const server = await postgrest(t);
		const { reporter } = reporterFor(t, server, { collapseRepeats: collapseRepeats === true });
		for (let i = 0; i < 5; i++) reporter.capture(new Error('again'));
		await reporter.flush();
		assert.equal(server.rows.size, rows);
		assert.equal([...server.rows.values()][0].metadata.count, count);
	}
});

test('a full queue drops the least severe first, and says how many', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server, { maxQueueEvents: 10 });
	for (const severity of /** @type {const} */ (['low', 'high', 'medium'])) {
		for (let i = 0; i < 6; i++) reporter.capture(new Error(`${severity} ${i}`), { severity });
	}
	await reporter.flush();
	const rows = [...server.rows.values()];
	const report = rows.find((row) => row.error_type === 'system.reporter');
	assert.deepEqual(report.metadata.dropped, { low: 6, medium: 2, high: 0 });
	assert.equal(report.message, 'error reporter dropped 8 events');
	assert.equal(report.severity, 'high');
	const kept = rows.filter((row) => row !== report).map((row) => row.message).sort();
	assert.deepEqual(kept, ['high 0', 'high 1', 'high 2', 'high 3', 'high 4', 'high 5', 'medium 2', 'medium 3', 'medium 4', 'medium 5']);
	assert.equal(reporter.stats().dropped, 8);
});

test('an error inside the reporter does not loop back into it', async (t) => {
	const server = await postgrest(t);
	server.refuse = () => ({ status: 400, body: { code: '23514' } });
	/** @type {import('../src/index.js').Reporter} */
	let reporter;
	let tokens = 0;
	let logs = 0;
	const wrapped = reporterFor(t, server, {
		token: undefined,
		getToken: async () => {
			tokens++;
			reporter.capture(new Error('inside getToken'));
			await new Promise((resolve) => setTimeout(resolve, 1));
			reporter.capture(new Error('inside getToken, later'));
			return 'a-token';
		},
		fetch: async (...args) => {
			reporter.capture(new Error('inside fetch'));
			return fetch(...args);
		},
		log: () => {
			logs++;
			reporter.capture(new Error('inside log'));
			throw new Error('log is broken');
		}
	});
	reporter = wrapped.reporter;
	reporter.capture(new Error('outside'));
	await until('the refusal', () => reporter.stats().refused === 1);
	assert.ok(tokens === 1 && logs === 1);
	assert.deepEqual(reporter.stats(), { captured: 1, delivered: 0, refused: 1, dropped: 0, lost: 0, pending: 0 });
});

test('only a wrong option throws, and it is named', () => {
	const url = 'http://127.0.0.1:1';
	for (const [options, named] of /** @type {[any, RegExp][]} */ ([
		[{ token: 'x' }, /url/],
		[{ url: 'nonsense', token: 'x' }, /url/],
		[{ url }, /token/],
		[{ url, token: 'x', batchSize: -1 }, /batchSize/]
	])) {
		assert.throws(() => createReporter(options), named);
	}
	const off = createReporter(/** @type {any} */ ({ enabled: false }));
	assert.equal(off.capture(new Error('x')), null);
});

test('after close, captures do nothing', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	reporter.capture(new Error('before'));
	assert.deepEqual(await reporter.close(), { delivered: true, pending: 0 });
	assert.equal(reporter.capture(new Error('after')), null);
	assert.equal(server.rows.size, 1);
});
