// What capture costs its caller, and what the background costs, in microseconds an event; the last
// column is the budget. Each figure is the median of many rounds.
import { mkdirSync, writeFileSync } from 'node:fs';
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

/** Of `capture`, on the caller. */
const BUDGET = 20;
/** As benches/summary reads them. @type {{ name: string, unit: string, result: number, budget: { at_most: number } | null }[]} */
const lines = [];

/** @param {string} name @param {number | null} budget @param {number} rounds @param {(i: number) => void} work @param {() => void} [prepare] */
function measure(name, budget, rounds, work, prepare = () => {}) {
	const cpu = [];
	for (let round = 0; round < 25; round++) {
		prepare();
		const used = process.cpuUsage();
		for (let i = 0; i < rounds; i++) work(i);
		const { user, system } = process.cpuUsage(used);
		cpu.push((user + system) / rounds);
	}
	// The time on the processor: a machine that is busy with other things would blame them on us.
	const result = cpu.toSorted((a, b) => a - b)[cpu.length >> 1];
	lines.push({ name, unit: 'µs', result, budget: budget === null ? null : { at_most: budget } });
	const verdict = budget === null ? '' : `≤ ${budget}`.padStart(16) + (result <= budget ? 'yes' : 'NO').padStart(7);
	console.log(`capture-js: ${name}`.padEnd(58) + `${result.toFixed(2)} µs`.padStart(15) + verdict);
}

const error = Object.assign(new Error('HTTP 503'), { status: 503 });
const reporter = createReporter({ url: 'http://127.0.0.1:1', token: 't', batchDelayMs: 1e9, batchSize: 1000, log() {}, maxQueueEvents: 2_000 });
measure('capture, 2 KB of metadata', BUDGET, 2000, () => reporter.capture(error, options));
measure('capture, no metadata', BUDGET, 2000, () => reporter.capture(error));
/** @type {Error[]} */
let fresh = [];
measure(
	'capture, a message never seen before',
	BUDGET,
	2000,
	(i) => reporter.capture(fresh[i], options),
	() => (fresh = Array.from({ length: 2000 }, () => new Error(`something went wrong ${Math.random()}`)))
);
const events = Array.from({ length: 300 }, () => toCaptured(error, options, defaults, Date.now()));
measure('background: mask and write a row of 2 KB', null, 300, (i) => seal(events[i]));
measure('background: mask 2 KB of metadata', null, 500, () => maskDocument(metadata));
measure('classify by status', null, 5000, () => classifyFacts({ name: 'Error', message: 'HTTP 503', status: 503 }));
measure('classify by message, never seen before', null, 2000, (i) => classifyFacts({ name: 'Error', message: `odd ${i} ${Math.random()}` }));
const folder = new URL('../../../target/bench/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('capture-js.json', folder), JSON.stringify(lines, null, 2));
process.exit(0);
