import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generated } from '../scripts/tables.js';

test('the tables are those of the migration and of data/', () => {
	const { masking, module, documentation } = generated();
	const read = (/** @type {string} */ path) => readFileSync(new URL(path, import.meta.url), 'utf8');
	const hint = 'run `npm run tables`';
	assert.equal(read('../data/masking.json'), masking, hint);
	assert.equal(read('../src/tables.js'), module, hint);
	assert.equal(read('../../../docs/classification.md'), documentation, hint);
	assert.ok(JSON.parse(masking).values.length >= 15, 'the migration was understood');
	assert.ok(JSON.parse(masking).key_contains.length >= 10, 'the migration was understood');
});
