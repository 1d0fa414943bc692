import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReporter } from '../../src/index.js';
import { finallyDo } from './endings.js';

/**
 * Waits until a condition holds.
 * @param {string} what
 * @param {() => unknown} condition
 */
export async function until(what, condition, timeoutMs = 10_000) {
	const end = Date.now() + timeoutMs;
	while (!condition()) {
		if (Date.now() > end) throw new Error(`timed out waiting for: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

/** @param {import('node:test').TestContext} t */
export function temporaryFolder(t) {
	const folder = mkdtempSync(join(tmpdir(), 'error-reporter-'));
	finallyDo(t, () => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** @param {string} name @returns {any} */
export function vectors(name) {
	return JSON.parse(readFileSync(new URL(`../../../../tests/vectors/${name}.json`, import.meta.url), 'utf8'));
}

/**
 * A reporter in a hurry, closed after the test, whose log is kept.
 * @param {import('node:test').TestContext} t
 * @param {import('./postgrest.js').Postgrest} server
 * @param {Partial<import('../../src/index.js').ReporterOptions>} [options]
 */
export function reporterFor(t, server, options = {}) {
	/** @type {{ message: string, fields: Record<string, unknown> }[]} */
	const logged = [];
	const reporter = createReporter({
		url: server.url,
		token: 'a-token',
		apikey: 'an-apikey',
		source: 'worker',
		batchDelayMs: 10,
		minBackoffMs: 10,
		maxBackoffMs: 50,
		timeoutMs: 2000,
		log: (message, fields) => logged.push({ message, fields }),
		...options
	});
	finallyDo(t, () => reporter.close(0));
	return { reporter, logged };
}
