// What changes while one looks: new errors, a lost connection, a tracker that stops.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { close, control, eventually, insertErrors, launch, open, rest, visit } from './browser.js';

beforeAll(launch);
afterAll(close);
afterEach(async () => {
	await control('/proxy/mend');
});

/** @param {import('playwright-core').Page} page @param {string} name */
async function tile(page, name) {
	const text = await page.locator('.tile', { hasText: name }).locator('.value').innerText();
	return Number(text.replace(/[^\d.]/g, ''));
}

it('shows an inserted error in the feed and the tiles within two seconds', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors?range=15m');
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	await tab.page.getByRole('region', { name: 'Latest errors' }).waitFor();
	// The first subscription and what it fetches must be over.
	await tab.page.waitForTimeout(2500);
	/** @type {number[]} */
	const took = [];
	for (let round = 0; round < 3; round++) {
		// More than there are, so that only these can make the number, whatever leaves the minute.
		const before = await tile(tab.page, 'Errors per minute');
		const message = `a live error ${Date.now()}`;
		await insertErrors(before + 3, { message });
		const inserted = Date.now();
		// The number is part of the group's name, so any three of this message will do.
		await tab.page.getByText(message).first().waitFor({ timeout: 10_000 });
		await eventually(
			'the tile counts',
			async () => (await tile(tab.page, 'Errors per minute')) >= before + 3
		);
		took.push(Date.now() - inserted);
	}
	expect(Math.min(...took), `milliseconds: ${took}`).toBeLessThan(2000);
	tab.quiet();
	await tab.done();
});

it('follows small tables only, never the errors themselves', async () => {
	const tab = await open('owner');
	/** @type {string[]} */
	const sent = [];
	tab.page.on('websocket', (socket) =>
		socket.on('framesent', ({ payload }) => sent.push(String(payload)))
	);
	await visit(tab.page, '/errors?range=15m');
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	await visit(tab.page, '/errors/history');
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	const joins = sent.filter((frame) => frame.includes('phx_join')).join();
	expect(joins).toContain('"table":"error_rates_live"');
	expect(joins).toContain('"table":"alert_incidents"');
	expect(joins).not.toContain('error_metrics');
	await tab.done();
});

it('pauses, and tells how many are new', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors?range=15m');
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	const feed = tab.page.getByRole('region', { name: 'Latest errors' });
	await feed.waitFor();
	await tab.page.getByRole('button', { name: 'Pause' }).click();
	const message = `while paused ${Date.now()}`;
	await insertErrors(2, { message });
	await tab.page.getByRole('button', { name: /new$/ }).waitFor();
	// Top groups may show it already.
	expect(await feed.getByText(message).count()).toBe(0);
	await tab.page.getByRole('button', { name: /new$/ }).click();
	await feed.getByText(message).first().waitFor();
	await tab.done();
});

it('reconnects and misses nothing', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors?range=15m');
	await tab.page.getByText('Live', { exact: true }).first().waitFor();
	await control('/proxy/cut');
	await tab.page
		.getByText(/Reconnecting|Polling/)
		.first()
		.waitFor();
	const messages = ['alpha', 'beta', 'gamma'].map((word) => `missed ${word} ${Date.now()}`);
	for (const message of messages) await insertErrors(1, { message });
	await tab.page.waitForTimeout(1500);
	await control('/proxy/mend');
	for (const message of messages) {
		await tab.page.getByText(message).first().waitFor({ timeout: 45_000 });
	}
	await tab.page.getByText('Live', { exact: true }).first().waitFor({ timeout: 45_000 });
	await tab.done();
});

it('says on every page when the tracker does not run, and when it is back', async () => {
	const rule = '12e00000-0000-4000-8000-000000000002';
	const incident = await rest(
		`/alert_incidents?select=id:incident_id&rule_id=eq.${rule}&state=eq.resolved&limit=1`
	);
	const group = await rest(
		'/error_groups?select=id:fingerprint&project_id=eq.ac3e0000-0000-4000-8000-000000000001&limit=1'
	);
	const tab = await open('viewer');
	await visit(tab.page, '/errors/rules');
	expect(await tab.page.getByText('The error tracker is not running.').count()).toBe(0);
	await control('/daemon/stop');
	try {
		await tab.page.getByText('The error tracker is not running.').waitFor({ timeout: 45_000 });
		for (const path of [
			'/errors',
			`/errors/${group.body[0].id}`,
			'/errors/history',
			'/errors/incidents',
			`/errors/incidents/${incident.body[0].id}`,
			`/errors/rules/${rule}`,
			'/errors/channels',
			'/errors/silences',
			'/errors/status'
		]) {
			await visit(tab.page, path);
			await tab.page.getByText('The error tracker is not running.').waitFor();
		}
		await tab.page.getByText('not running', { exact: true }).first().waitFor();
	} finally {
		await control('/daemon/start');
	}
	await tab.page
		.getByText('The error tracker is not running.')
		.waitFor({ state: 'detached', timeout: 45_000 });
	await tab.done();
});
