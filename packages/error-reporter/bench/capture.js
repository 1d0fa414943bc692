// What capture costs its caller, and what the background costs, in microseconds an event.
import { toCaptured, seal } from '../src/event.js';
import { classifyFacts } from '../src/classify.js';
import { maskDocument } from '../src/masking.js';
import { createReporter } from '../src/index.js';

const metadata = {
	run_id: '0190b0a0-0000-7000-8000-000000000001',
	node: { id: 'n-17', type: 'http', attempt: 3 },
	request: { method: 'POST', url: 'https://api.example.com/v1/things?page=2', headers: { accept: '*/*', authorization: 'Bearer abcdefghijkl' } },
	response: { status: 503, body: 'The service is not available at the moment; please try again later. '.repeat(20) },
	tags: ['a', 'b', 'c', 'd'],
	counters: Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`counter_${i}`, i]))
};
const defaults = { source: /** @type {const} */ ('worker'), projectId: null, workflowId: null, context: {} };
const options = { metadata, workflowId: '0190b0a0-0000-7000-8000-000000000002' };

/** @param {string} name @param {number} rounds @param {(i: number) => void} work @param {() => void} [prepare] */
function measure(name, rounds, work, prepare = () => {}) {
	const wall = [];
	const cpu = [];
	for (let round = 0; round < 25; round++) {
		prepare();
		const used = process.cpuUsage();
		const start = process.hrtime.bigint();
		for (let i = 0; i < rounds; i++) work(i);
		wall.push(Number(process.hrtime.bigint() - start) / rounds / 1000);
		const { user, system } = process.cpuUsage(used);
		cpu.push((user + system) / rounds);
	}
	const median = (/** @type {number[]} */ samples) => samples.toSorted((a, b) => a - b)[samples.length >> 1].toFixed(2);
	// On a machine that is busy with other things, the time on the processor is the one to look at.
	console.log(`${name.padEnd(48)} median ${median(wall)} µs, on the processor ${median(cpu)} µs`);
}

const error = Object.assign(new Error('HTTP 503'), { status: 503 });
const reporter = createReporter({ url: 'http://127.0.0.1:1', token: 't', batchDelayMs: 1e9, batchSize: 1000, log() {}, maxQueueEvents: 2_000 });
console.log(`metadata of ${JSON.stringify(metadata).length} bytes, Node ${process.version}`);
measure('capture, 2 KB of metadata', 2000, () => reporter.capture(error, options));
measure('capture, no metadata', 2000, () => reporter.capture(error));
/** @type {Error[]} */
let fresh = [];
measure(
	'capture, a message never seen before',
	2000,
	(i) => reporter.capture(fresh[i], options),
	() => (fresh = Array.from({ length: 2000 }, () => new Error(`something went wrong ${Math.random()}`)))
);
const events = Array.from({ length: 300 }, () => toCaptured(error, options, defaults, Date.now()));
measure('background: mask and write a row of 2 KB', 300, (i) => seal(events[i]));
measure('background: mask 2 KB of metadata', 500, () => maskDocument(metadata));
measure('classify by status', 5000, () => classifyFacts({ name: 'Error', message: 'HTTP 503', status: 503 }));
measure('classify by message, never seen before', 2000, (i) => classifyFacts({ name: 'Error', message: `odd ${i} ${Math.random()}` }));
process.exit(0);
