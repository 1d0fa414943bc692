// Runs the built application against a stand-in for PostgREST, asks for a page whose `load` throws,
// with secrets in cookie, header and query, and checks the row that arrives. `npm install && npm run try`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Postgrest } from '../../test/support/postgrest.js';

const server = await new Postgrest().start();
const port = '4789';
const app = spawn(process.execPath, ['build/index.js'], {
	env: { ...process.env, PORT: port, ORIGIN: `http://localhost:${port}`, SUPABASE_URL: server.url, ERROR_REPORTER_TOKEN: 't' },
	stdio: ['ignore', 'pipe', 'pipe']
});
let said = '';
for (const stream of [app.stdout, app.stderr]) stream.on('data', (text) => (said += text));
try {
	await once(app.stdout, 'data');
	const response = await fetch(`http://127.0.0.1:${port}/boom/17?api_key=s3cr3t-query`, {
		headers: { cookie: 'sb-access-token=s3cr3t-cookie', authorization: 'Bearer s3cr3t-header', 'x-request-id': 'req-42' }
	});
	assert.equal(response.status, 500);
	said += await response.text();
	assert.equal((await fetch(`http://127.0.0.1:${port}/nowhere`)).status, 404);
} finally {
	app.kill('SIGTERM');
}
await once(app, 'exit');
await server.stop();
const [row, ...more] = server.rows.values();
assert.equal(more.length, 0);
assert.deepEqual([row.source, row.error_type, row.severity], ['system', 'system.internal', 'high']);
assert.deepEqual([row.metadata.http.route, row.metadata.http.path, row.metadata.request_id], ['/boom/[id]', '/boom/17', 'req-42']);
// Neither in what was sent, heads included, nor on the page, nor in what the application printed.
assert.ok(!JSON.stringify(server.requests).includes('s3cr3t'));
assert.ok(said.includes('Listening') && !said.includes('s3cr3t'), said);
console.log(JSON.stringify(row, null, '\t'));
