// Child processes that say when they are ready, and that end with the tests.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * @typedef {object} Running
 * @property {import('node:child_process').ChildProcess} child
 * @property {() => string} output Everything it has said.
 * @property {(signal?: NodeJS.Signals) => Promise<void>} stop
 */

/**
 * Starts a program and waits until `ready` finds something in what it says.
 * @template T
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, ready: (output: string) => T | null | undefined | false | Promise<T | null | undefined | false>, patience?: number, input?: string }} options
 * @returns {Promise<Running & { value: T }>}
 */
export async function start(program, args, { cwd, env = {}, ready, patience = 120_000, input }) {
	const child = spawn(program, args, {
		cwd,
		env: { ...process.env, ...env },
		stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe']
	});
	let output = '';
	const take = (/** @type {Buffer} */ chunk) => (output = (output + chunk).slice(-200_000));
	child.stdout?.on('data', take);
	child.stderr?.on('data', take);
	if (input !== undefined) child.stdin?.end(input);
	/** @type {Error | null} */
	let failure = null;
	child.on('error', (error) => (failure = error));
	const running = {
		child,
		output: () => output,
		stop: async (/** @type {NodeJS.Signals} */ signal = 'SIGTERM') => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const gone = once(child, 'exit');
			child.kill(signal);
			const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
			await gone;
			clearTimeout(late);
		}
	};
	const deadline = Date.now() + patience;
	for (;;) {
		const value = await ready(output);
		if (value) return { ...running, value };
		if (failure || child.exitCode !== null || Date.now() > deadline) {
			await running.stop();
			throw new Error(`${program} did not start: ${failure ?? ''}\n${output.slice(-4000)}`);
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

/** Runs a program to its end. @param {string} program @param {string[]} args @param {{ cwd?: string, env?: Record<string, string>, input?: string, patience?: number }} [options] */
export async function run(program, args, options = {}) {
	const { child, output } = await start(program, args, { ...options, ready: () => true });
	const code = child.exitCode ?? (await once(child, 'exit'))[0];
	if (code !== 0)
		throw new Error(`${program} ${args.join(' ')} ended with ${code}\n${output().slice(-4000)}`);
	return output();
}

/**
 * A port on which nobody listens. Somebody may take it before it is used: see `retried`.
 * @returns {Promise<number>}
 */
export async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	server.close();
	await once(server, 'close');
	return port;
}

/** Does something once more if it fails, as when a free port was taken meanwhile. @template T @param {() => Promise<T>} deed @returns {Promise<T>} */
export async function retried(deed) {
	try {
		return await deed();
	} catch {
		return await deed();
	}
}
