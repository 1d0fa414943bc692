/** @import { Source } from './event.js' */
/** @import { GetToken } from './transport.js' */

/**
 * @typedef {object} ReporterOptions
 * @property {string} url of the Supabase project, such as `https://abc.supabase.co`
 * @property {string} [apikey] the project's publishable (anon) key, which Supabase's gateway wants
 * @property {string} [token] a JWT with role `error_reporter`, or a key
 * @property {GetToken} [getToken] instead of `token`: asked for one before the first batch, shortly
 *   before it expires, and (with `true`) after the server has refused it
 * @property {Source} [source] of events that do not say; `system`
 * @property {string | null} [projectId] of events that do not say
 * @property {string | null} [workflowId] of events that do not say
 * @property {Record<string, unknown>} [context] metadata of every event, such as the release
 * @property {string} [spoolDir] a folder to keep events in while the server cannot be reached
 * @property {number} [maxQueueEvents] 10,000
 * @property {number} [maxQueueBytes] 16 MiB
 * @property {number} [batchSize] 200
 * @property {number} [batchBytes] 512 KiB
 * @property {number} [batchDelayMs] how long an event waits for others: 500 ms
 * @property {number} [timeoutMs] of one request: 10 s
 * @property {number} [minBackoffMs] 500 ms
 * @property {number} [maxBackoffMs] 60 s
 * @property {number} [spoolMaxBytes] 64 MiB
 * @property {number} [spoolSegmentBytes] 512 KiB
 * @property {boolean} [collapseRepeats] equal errors that wait for the same batch, within a second,
 *   become one event with `count` in its metadata; off, because every error counts
 * @property {boolean} [hooks] capture what ends the process; off
 * @property {boolean} [enabled] false: capture does nothing; true
 * @property {(message: string, fields: Record<string, unknown>) => void} [log] what the reporter itself has
 *   to say; to the console's error stream
 * @property {typeof globalThis.fetch} [fetch] for tests
 * @property {() => number} [now] for tests: milliseconds since 1970
 */

/** @typedef {ReturnType<typeof complete>} Settings */

/**
 * @param {ReporterOptions} options
 * @throws {TypeError} that names the option; the only place where the reporter throws
 */
export function complete(options) {
	const enabled = options.enabled ?? true;
	const fail = (/** @type {string} */ field, /** @type {string} */ why) => {
		throw new TypeError(`error reporter: ${field}: ${why}`);
	};
	if (enabled) {
		if (!URL.canParse(options.url ?? '')) fail('url', 'must be the address of the Supabase project');
		if (options.token === undefined && options.getToken === undefined && options.apikey === undefined) {
			fail('token', 'one of token, getToken and apikey is needed');
		}
	}
	const number = (/** @type {keyof ReporterOptions} */ field, /** @type {number} */ otherwise) => {
		const value = options[field] ?? otherwise;
		if (typeof value !== 'number' || !(value > 0)) fail(field, 'must be a number above 0');
		return /** @type {number} */ (value);
	};
	return {
		enabled,
		url: options.url,
		apikey: options.apikey,
		getToken: options.getToken ?? (() => options.token ?? options.apikey ?? ''),
		defaults: {
			source: options.source ?? 'system',
			projectId: options.projectId ?? null,
			workflowId: options.workflowId ?? null,
			context: options.context ?? {}
		},
		spoolDir: options.spoolDir,
		maxQueueEvents: number('maxQueueEvents', 10_000),
		maxQueueBytes: number('maxQueueBytes', 16 * 1024 * 1024),
		batchSize: Math.min(number('batchSize', 200), 1000),
		batchBytes: number('batchBytes', 512 * 1024),
		batchDelayMs: number('batchDelayMs', 500),
		timeoutMs: number('timeoutMs', 10_000),
		minBackoffMs: number('minBackoffMs', 500),
		maxBackoffMs: number('maxBackoffMs', 60_000),
		spoolMaxBytes: number('spoolMaxBytes', 64 * 1024 * 1024),
		spoolSegmentBytes: number('spoolSegmentBytes', 512 * 1024),
		collapseRepeats: options.collapseRepeats ?? false,
		hooks: options.hooks ?? false,
		log: options.log ?? logToConsole,
		fetch: options.fetch ?? globalThis.fetch,
		now: options.now ?? Date.now
	};
}

/** @param {string} message @param {Record<string, unknown>} fields */
function logToConsole(message, fields) {
	console.error(JSON.stringify({ target: 'error-reporter', message, ...fields }));
}
