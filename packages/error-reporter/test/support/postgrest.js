import { once } from 'node:events';
import { createServer } from 'node:http';
import { finallyDo } from './endings.js';

/**
 * A server that answers inserts as PostgREST 14 does, keeps rows by id, and misbehaves on request.
 * @typedef {{ status: number, body?: unknown, headers?: Record<string, string> } | 'hang' | 'reset'} Fault
 */

const COLUMNS =
	'error_id,error_type,message,metadata,project_id,severity,source,timestamp,workflow_id';

export class Postgrest {
	/** @type {Map<string, any>} */
	rows = new Map();
	/** Rows that arrived although they were there already. */
	repeated = 0;
	/** @type {{ headers: import('node:http').IncomingHttpHeaders, path: string, rows: any[], at: number }[]} */
	requests = [];
	/** @type {Fault[]} answered first, one each */
	faults = [];
	/** @type {Fault | undefined} answered as long as it is set */
	fault;
	/** @type {(row: any) => { status: number, body: unknown } | undefined} */
	refuse = () => undefined;
	/** @type {string | undefined} */
	token;
	#server = createServer((request, response) => this.#answer(request, response));
	port = 0;

	async start(port = 0) {
		this.#server.listen(port, '127.0.0.1');
		await once(this.#server, 'listening');
		this.port = /** @type {import('node:net').AddressInfo} */ (this.#server.address()).port;
		return this;
	}

	get url() {
		return `http://127.0.0.1:${this.port}`;
	}

	/** As a machine that goes down: connections break, the port is closed. */
	async stop() {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
	async #answer(request, response) {
		let text = '';
		try {
			for await (const chunk of request) text += chunk;
		} catch {
			return;
		}
		const rows = /** @type {any[]} */ (text === '' ? [] : JSON.parse(text));
		this.requests.push({ headers: request.headers, path: request.url ?? '', rows, at: Date.now() });
		const fault = this.faults.shift() ?? this.fault ?? this.#refusal(request, rows);
		if (fault === 'hang') return;
		if (fault === 'reset') return void request.socket.resetAndDestroy();
		if (fault !== undefined) {
			response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
			return void response.end(JSON.stringify(fault.body ?? {}));
		}
		for (const row of rows) {
			if (this.rows.has(row.error_id)) this.repeated++;
			else this.rows.set(row.error_id, row);
		}
		response.writeHead(201, { 'content-range': '*/*', 'preference-applied': 'return=minimal' });
		response.end();
	}

	/** @param {import('node:http').IncomingMessage} request @param {any[]} rows @returns {Fault | undefined} */
	#refusal(request, rows) {
		if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
			return { status: 401, body: { code: 'PGRST301', message: 'JWT expired' } };
		}
		// PostgREST refuses rows whose keys differ from those of the first.
		const odd = rows.some((row) => Object.keys(row).sort().join() !== COLUMNS);
		if (odd) return { status: 400, body: { code: 'PGRST102', message: 'All object keys must match' } };
		// One statement: a bad row costs them all.
		for (const row of rows) {
			const refusal = this.refuse(row);
			if (refusal !== undefined) return refusal;
		}
		return undefined;
	}
}

/** @param {import('node:test').TestContext} t */
export async function postgrest(t) {
	const server = await new Postgrest().start();
	finallyDo(t, () => server.stop());
	return server;
}
