import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { child } from './support/child.js';
import { postgrest } from './support/postgrest.js';
import { temporaryFolder } from './support/until.js';

test('the example of docs/reporting.md does what it says', async (t) => {
	const server = await postgrest(t);
	const page = readFileSync(new URL('../../../docs/reporting.md', import.meta.url), 'utf8');
	const [example, ...more] = [...page.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);
	assert.deepEqual(more, [], 'another example needs another test');
	const spoolDir = temporaryFolder(t);
	const code = example
		.replace("'@meshhook/error-reporter'", JSON.stringify(new URL('../src/index.js', import.meta.url).href))
		.replace("'/var/lib/worker/errors'", JSON.stringify(spoolDir));
	// What the page leaves to the reader.
	const given = `process.env.SUPABASE_URL = OPTIONS.url;
		process.env.SUPABASE_ANON_KEY = 'an-apikey';
		process.env.ERROR_REPORTER_TOKEN = 'a-token';
		const error = new Error('of the page'), workflowId = OPTIONS.workflowId, run_id = 'r-17';`;
	const workflowId = '0190b0a0-0000-7000-8000-000000000002';
	const { code: status, errors } = await child(`${given}\n${code}`, { url: server.url, workflowId }).ended;
	assert.equal(status, 0, errors);
	const [row, ...others] = [...server.rows.values()];
	assert.deepEqual(others, []);
	assert.deepEqual([row.source, row.message, row.workflow_id], ['worker', 'of the page', workflowId]);
	assert.equal(row.metadata.run_id, 'r-17');
});
