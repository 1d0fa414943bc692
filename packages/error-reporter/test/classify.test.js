import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classify } from '../src/index.js';
import { postgrest } from './support/postgrest.js';
import { vectors } from './support/until.js';

/**
 * The error that a vector describes, as a JavaScript program would meet it.
 * @param {any} facts
 * @returns {Error}
 */
function errorOf({ name, message, code, status, causes = [] }) {
	const [cause, ...deeper] = causes;
	const error = new Error(message);
	Object.defineProperty(error, 'name', { value: name });
	if (cause !== undefined) error.cause = errorOf({ ...cause, causes: deeper });
	return Object.assign(error, code === undefined ? {} : { code }, status === undefined ? {} : { status });
}

test('errors are classified as the shared vectors say', () => {
	const all = vectors('classification');
	assert.ok(all.length >= 120);
	for (const { about, error, given, error_type, severity } of all) {
		const expected = { errorType: error_type, severity };
		assert.deepEqual(classify(errorOf(error), given), expected, about);
	}
});

/** @param {string} url @param {AbortSignal} signal */
function post(url, signal) {
	return fetch(url, { method: 'POST', body: '[]', signal });
}

test('errors that the platform itself makes', async (t) => {
	const silent = await postgrest(t);
	silent.fault = 'hang';
	/** @type {[string, () => unknown, string][]} */
	const cases = [
		['JSON.parse', () => JSON.parse('{"a":'), 'input.json'],
		['JSON.parse of HTML', () => JSON.parse('<html>'), 'input.json'],
		['new URL', () => new URL('nonsense'), 'input.url'],
		['a defect', () => /** @type {any} */ (undefined).id, 'system.internal'],
		['decodeURIComponent', () => decodeURIComponent('%'), 'input.encoding'],
		['fetch of a closed port', () => fetch('http://127.0.0.1:1/'), 'execution.connection'],
		['fetch out of time', () => post(silent.url, AbortSignal.timeout(20)), 'execution.http_timeout'],
		['fetch aborted', () => post(silent.url, AbortSignal.abort()), 'execution.aborted'],
		['fetch of an unknown host', () => fetch('http://no-such-host.invalid/'), 'system.dns'],
		['require', () => import('no-such-package'.slice()), 'system.module'],
		['no error at all', () => Promise.reject(undefined), 'system.unknown']
	];
	for (const [about, make, expected] of cases) {
		/** @type {unknown} */
		let caught = 'nothing was thrown';
		try {
			await make();
		} catch (error) {
			caught = error;
		}
		assert.equal(classify(caught).errorType, expected, about);
	}
});
