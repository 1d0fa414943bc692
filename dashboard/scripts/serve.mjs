// Serves the build on one machine's loopback. The port is known before the app is loaded, because
// the app must know its own address: forms from elsewhere are refused.
//
// PORT: 0 or none for a free one. EXIT_WITH_STDIN=1: ends when standard input does, so that it never
// outlives the process that started it.

import { createServer } from 'node:http';

if (process.env.EXIT_WITH_STDIN === '1') {
	process.stdin.resume();
	process.stdin.on('end', () => process.exit(0));
}

/** @type {import('node:http').RequestListener} */
let handle = (_, response) => {
	response.writeHead(503, { 'retry-after': '1' }).end('starting\n');
};
const server = createServer((request, response) => handle(request, response));
server.on('error', (error) => {
	console.error(error.message);
	process.exit(1);
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', async () => {
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	process.env.ORIGIN ??= `http://localhost:${port}`;
	const { handler } = await import('../build/handler.js');
	handle = (request, response) =>
		handler(request, response, () => response.writeHead(404).end('not found\n'));
	console.log(`listening ${process.env.ORIGIN}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
