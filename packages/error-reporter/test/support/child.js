import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a script that uses the package in a process of its own.
 * @param {string} script the body of a module; `options` are there as OPTIONS
 * @param {Record<string, unknown>} options
 */
export function child(script, options) {
	const index = new URL('../../src/index.js', import.meta.url).href;
	const source = `import * as lib from ${JSON.stringify(index)};
		const OPTIONS = ${JSON.stringify(options)};
		${script}`;
	const process_ = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: 'pipe' });
	let output = '';
	process_.stdout.on('data', (chunk) => (output += chunk));
	let errors = '';
	process_.stderr.on('data', (chunk) => (errors += chunk));
	const ended = once(process_, 'close').then(([code, signal]) => ({ code, signal, output, errors }));
	return { process: process_, ended, output: () => output };
}
