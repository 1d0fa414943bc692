// Two thousand errors a second, as long as STORM_SECONDS says: the tab stays responsive, keeps its
// memory, and in the end shows what came last.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { close, control, eventually, insertErrors, launch, open, rest, visit } from './browser.js';

const SECONDS = Number(process.env.STORM_SECONDS ?? 20);
/** Rows of one request, and milliseconds between two requests. */
const ROWS = 500;
const EVERY = 250;
/** A task that is longer is felt by whoever types or scrolls. */
const LONG_TASK = 200;
/** Megabytes that the heap may have grown by once the garbage is collected. */
const GROWTH = 24;
/** Rows of the feed's list at most, as `lib/errors/feed.js` has it. */
const KEPT = 120;

beforeAll(launch);
afterAll(close);

/** Inserts in a rhythm, whatever the answers take; returns how many rows there were. @param {string} error_type */
async function storm(error_type) {
	/** @type {Promise<void>[]} */
	const sent = [];
	const began = Date.now();
	for (let round = 0; round < (SECONDS * 1000) / EVERY; round++) {
		const due = began + round * EVERY;
		await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - Date.now())));
		const word = String.fromCharCode(97 + (round % 26));
		// A server that is slower than the storm is not to be buried under requests.
		if (sent.length >= 4) await sent[sent.length - 4];
		sent.push(insertErrors(ROWS, { error_type, message: `storm of ${word.repeat(4)}` }));
	}
	await Promise.all(sent);
	return { rows: sent.length * ROWS, seconds: (Date.now() - began) / 1000 };
}

/** Megabytes of the tab's heap without garbage. @param {import('playwright-core').CDPSession} devtools */
async function heap(devtools) {
	await devtools.send('HeapProfiler.collectGarbage');
	const { usedSize } = await devtools.send('Runtime.getHeapUsage');
	return usedSize / 2 ** 20;
}

it('stays responsive in a storm, and misses nothing of it', async () => {
	// What only this storm brings, so that its rows can be counted, also when it is tried again.
	const type = `execution.storm_${Date.now()}`;
	const tab = await open('owner');
	await visit(tab.page, `/errors?range=1h&type=${type}`);
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	const list = tab.page.getByRole('region', { name: 'Latest errors' });
	await tab.page.getByText('No errors in the last 24 hours.').waitFor();
	await tab.page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
	const devtools = await tab.context.newCDPSession(tab.page);
	await devtools.send('HeapProfiler.enable');
	const before = await heap(devtools);
	await tab.page.evaluate(() => {
		const found = /** @type {any} */ (window);
		found.longTasks = [];
		new PerformanceObserver((entries) =>
			found.longTasks.push(...entries.getEntries().map(({ duration }) => duration))
		).observe({ type: 'longtask', buffered: false });
	});

	const { rows, seconds } = await storm(type);
	const last = `the last one ${Date.now()}`;
	await insertErrors(1, { error_type: type, message: last });
	await list.getByText(last).waitFor({ timeout: 60_000 });
	expect(await list.getByRole('listitem').count()).toBeLessThanOrEqual(KEPT);

	// Every row is counted, and the tile tells so. The status row is written every few seconds, so one
	// that knows of fewer rows is from before the storm's end.
	await eventually(
		'the tracker has counted every row',
		async () => {
			const { body } = await rest(
				'/error_tracker_status?select=open_holes,outbox_depth,low_water,last_number&leader=is.true'
			);
			const [leader] = body ?? [];
			return (
				leader?.open_holes === 0 &&
				leader.last_number >= rows &&
				leader.low_water >= leader.last_number
			);
		},
		60_000
	);
	const tile = tab.page.locator('.tile', { hasText: 'Errors, ' }).locator('.value');
	await eventually(
		'the tile counts exactly the storm',
		async () => Number((await tile.innerText()).replace(/\D/g, '')) === rows + 1
	);
	const tasks = await tab.page.evaluate(() => /** @type {any} */ (window).longTasks);
	const longest = Math.round(Math.max(0, ...tasks));
	const grown = (await heap(devtools)) - before;
	console.log(
		`storm: ${rows} rows in ${seconds.toFixed(1)} s, ${tasks.length} tasks over 50 ms, the longest ${longest} ms, heap ${before.toFixed(1)} MB + ${grown.toFixed(1)} MB`
	);
	expect(longest, 'milliseconds of the longest task').toBeLessThanOrEqual(LONG_TASK);
	expect(grown, 'megabytes').toBeLessThanOrEqual(GROWTH);
	tab.quiet();
	await tab.done();
	await control('/proxy/mend');
});
