// Stands between browser and Supabase, so that a test can cut the connection and mend it.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @param {string} target As in `http://127.0.0.1:54321`. */
export async function startProxy(target) {
	const { hostname, port } = new URL(target);
	/** @type {Set<import('node:net').Socket>} */
	const open = new Set();
	let cut = false;
	const server = createServer((client) => {
		if (cut) {
			client.destroy();
			return;
		}
		const upstream = connect(Number(port), hostname);
		for (const socket of [client, upstream]) {
			open.add(socket);
			socket.on('close', () => open.delete(socket));
			socket.on('error', () => {});
		}
		client.pipe(upstream).pipe(client);
		client.on('close', () => upstream.destroy());
		upstream.on('close', () => client.destroy());
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = /** @type {import('node:net').AddressInfo} */ (server.address());
	return {
		url: `http://127.0.0.1:${address.port}`,
		cut: () => {
			cut = true;
			for (const socket of open) socket.destroy();
		},
		mend: () => {
			cut = false;
		},
		stop: () => {
			for (const socket of open) socket.destroy();
			server.close();
		}
	};
}
