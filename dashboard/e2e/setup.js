// Starts the stack once, and a small server by which tests stop the daemon, cut connections, and read
// what Slack got.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { startStack } from './stack.js';

/** @param {import('vitest/node').TestProject} project */
export default async function setup(project) {
	const stack = await startStack();
	/** @type {Record<string, () => unknown>} */
	const deeds = {
		'/daemon/stop': stack.stopDaemon,
		'/daemon/start': stack.startDaemon,
		'/proxy/cut': stack.proxy.cut,
		'/proxy/mend': stack.proxy.mend,
		'/slack': () => stack.slack.received,
		'/logs': stack.logs
	};
	const control = createServer(async (request, response) => {
		try {
			const deed = deeds[request.url ?? ''];
			const answer = deed ? await deed() : null;
			response.writeHead(deed ? 200 : 404).end(JSON.stringify(answer ?? null));
		} catch (error) {
			response.writeHead(500).end(String(error));
		}
	}).listen(0, '127.0.0.1');
	await once(control, 'listening');
	const { port } = /** @type {import('node:net').AddressInfo} */ (control.address());
	const { web, supabase, tracker, anon, service, slackUrl } = stack;
	project.provide('stack', {
		web,
		supabase,
		tracker,
		anon,
		service,
		slackUrl,
		control: `http://127.0.0.1:${port}`
	});
	return async () => {
		control.closeAllConnections();
		control.close();
		await stack.stop();
	};
}
