import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { webhookRoute } from '../examples/meshhook-webhook.mjs';
import { JobQueue, startWorker } from '../examples/meshhook-worker.mjs';
import { captureHttpFailure, expressErrorHandler, handleErrorWith, wrapJob } from '../src/index.js';
import { postgrest } from './support/postgrest.js';
import { reporterFor } from './support/until.js';

const WORKFLOW = '0190b0a0-0000-7000-8000-000000000001';
const PROJECT = '0190b0a0-0000-7000-8000-000000000002';

/** @param {import('./support/postgrest.js').Postgrest} server */
const summary = (server) =>
	[...server.rows.values()].map((row) => [row.source, row.error_type, row.severity, row.message]);

test("MeshHook's worker: four attempts of medium severity, and the one that fails the run", async (t) => {
	const server = await postgrest(t);
	const target = await postgrest(t);
	target.fault = { status: 503 };
	const { reporter } = reporterFor(t, server);
	const queue = new JobQueue();
	t.mock.method(console, 'error', () => {});
	startWorker(queue, reporter, { backoffMs: 1 });
	const node = { id: 'n1', url: `${target.url}/?api_key=abc` };
	queue.add('http', { runId: 'r1', workflowId: WORKFLOW, projectId: PROJECT, node });
	await new Promise((resolve) => queue.once('settled', resolve));
	await reporter.flush();
	const failed = (/** @type {string} */ severity) => ['worker', 'execution.http_status', severity, 'HTTP 503'];
	assert.deepEqual(summary(server).sort(), [failed('high'), ...Array(4).fill(failed('medium'))]);
	for (const row of server.rows.values()) {
		assert.deepEqual([row.workflow_id, row.project_id], [WORKFLOW, PROJECT]);
		assert.deepEqual([row.metadata.run_id, row.metadata.node_id, row.metadata.max_attempts], ['r1', 'n1', 5]);
	}
	assert.deepEqual([...server.rows.values()].map((row) => row.metadata.attempt).sort(), [1, 2, 3, 4, 5]);
});

test("MeshHook's webhook route: callers' mistakes are low, a broken database is high", async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
	let broken = false;
	const route = webhookRoute({
		reporter,
		secret: 'hush',
		findWorkflow: async (slug) => (slug === 'known' ? { id: WORKFLOW, project_id: PROJECT } : null),
		createRun: async () => (broken ? Promise.reject(refused) : 'run')
	});
	const post = (/** @type {string} */ slug, /** @type {string} */ body, sign = true) => {
		const signature = createHmac('sha256', 'hush').update(body).digest('hex');
		const headers = { 'x-signature': sign ? signature : 'beef', authorization: 'Bearer callers-secret' };
		return route({ params: { slug }, request: new Request('http://host/', { method: 'POST', body, headers }) });
	};
	assert.equal((await post('known', '{}')).status, 202);
	assert.equal((await post('unknown', '{}')).status, 404);
	assert.equal((await post('known', '{}', false)).status, 401);
	assert.equal((await post('known', '{"a":')).status, 400);
	broken = true;
	assert.equal((await post('known', '{}')).status, 500);
	await reporter.flush();
	const types = new Map([...server.rows.values()].map((row) => [row.error_type, row.severity]));
	assert.deepEqual(Object.fromEntries(types), {
		'input.not_found': 'low', 'input.signature': 'low', 'input.json': 'low', 'system.database': 'high'
	});
	assert.ok(!JSON.stringify([...server.rows.values()]).includes('callers-secret'));
});

test('wrapJob throws on what the handler threw, and gives back what it returned', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	const thrown = new Error('boom');
	const handler = async (/** @type {any} */ job, /** @type {number} */ more) => {
		if (job === null) throw thrown;
		return job.value + more;
	};
	/** @type {import('../src/jobs.js').JobReaders<any>} */
	const readers = { workflowIdOf: (job) => job.id, metadataOf: () => { throw new Error('reader is broken'); } };
	const ways = [wrapJob(handler, { ...readers, reporter }), reporter.wrapJob(handler, readers)];
	for (const [place, wrapped] of ways.entries()) {
		assert.equal(await wrapped({ value: 1 }, 2), 3);
		await assert.rejects(wrapped(null, 0), (error) => error === thrown);
		await reporter.flush();
		assert.equal(server.rows.size, place + 1);
	}
});

test("wrapJob without a reporter uses the process's first one, from the moment there is one", async (t) => {
	const server = await postgrest(t);
	const wrapped = wrapJob(
		async (/** @type {any} */ job) => {
			throw new Error(`job ${job.n}`);
		},
		{ workflowIdOf: (job) => job.workflowId }
	);
	await assert.rejects(wrapped({ n: 1 }), /job 1/);
	const { reporter } = reporterFor(t, server);
	await assert.rejects(wrapped({ n: 2, workflowId: WORKFLOW }), /job 2/);
	await reporter.close();
	await assert.rejects(wrapped({ n: 3 }), /job 3/);
	const rows = [...server.rows.values()].map((row) => [row.message, row.workflow_id, row.source]);
	assert.deepEqual(rows, [['job 2', WORKFLOW, 'worker']]);
});

test("SvelteKit's hook tells the route, and nothing of cookies and headers", async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	const handleError = handleErrorWith(reporter);
	const event = {
		url: new URL('https://app.example.com/runs/17?session=s3cr3tquery'),
		route: { id: '/runs/[id]' },
		request: new Request('https://app.example.com/runs/17', {
			headers: { cookie: 'sb-token=s3cr3tcookie', authorization: 'Bearer s3cr3theader', 'x-request-id': 'req-1' }
		})
	};
	const answer = /** @type {any} */ (
		handleError({ error: new TypeError('x is not a function'), event, status: 500, message: 'Internal Error' })
	);
	assert.equal(answer.message, 'Internal Error');
	handleError({ error: new Error('Not found: /nowhere'), event, status: 404, message: 'Not Found' });
	await reporter.flush();
	const row = server.rows.get(answer.errorId);
	assert.deepEqual([row.source, row.error_type, row.severity], ['system', 'system.internal', 'high']);
	assert.deepEqual(row.metadata.http, { method: 'GET', route: '/runs/[id]', path: '/runs/17', status: 500 });
	assert.equal(row.metadata.request_id, 'req-1');
	assert.match(row.metadata.exception.stack, /adapters\.test\.js/);
	const missing = [...server.rows.values()].find((other) => other !== row);
	assert.deepEqual([missing.error_type, missing.severity], ['input.not_found', 'low']);
	assert.match(missing.metadata.exception.stack, /adapters\.test\.js/);
	assert.ok(!JSON.stringify([...server.rows.values()]).includes('s3cr3t'));
	const odd = /** @type {any} */ (handleError(/** @type {any} */ ({ error: null, event: null })));
	assert.equal(odd.message, 'Internal Error');
	assert.match(odd.errorId, /^[0-9a-f-]{36}$/);
});

test('HTTP failures of fetch and of undici, and an Express middleware', async (t) => {
	const server = await postgrest(t);
	const { reporter } = reporterFor(t, server);
	const url = 'https://u:p4ssw0rd@api.example.com/v1?key=s3cr3t';
	assert.equal(captureHttpFailure(reporter, { status: 204 }), false);
	assert.equal(captureHttpFailure(reporter, { status: 502 }, { method: 'POST', url, final: true }), true);
	assert.equal(captureHttpFailure(reporter, { statusCode: 429 }, { url }), true);
	/** @type {unknown} */
	let handedOn;
	const error = Object.assign(new Error('no'), { status: 401 });
	const request = { method: 'POST', path: '/hooks/x', headers: { cookie: 's3cr3t' } };
	expressErrorHandler(reporter)(error, request, {}, (given) => (handedOn = given));
	assert.equal(handedOn, error);
	await reporter.flush();
	assert.deepEqual(summary(server).sort(), [
		['webhook', 'input.unauthenticated', 'low', 'no'],
		['worker', 'execution.http_status', 'high', 'HTTP 502 from POST https://api.example.com/v1'],
		['worker', 'execution.rate_limited', 'medium', 'HTTP 429 from GET https://api.example.com/v1']
	]);
	assert.ok(!/s3cr3t|p4ssw0rd/.test(JSON.stringify([...server.rows.values()])));
});
