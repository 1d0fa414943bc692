// By the keyboard: help, going places, searching, rows, the feed, the form of a rule; and nothing of it
// while somebody types.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { close, eventually, insertErrors, launch, open, rest, visit } from './browser.js';

beforeAll(launch);
afterAll(close);

/** @param {import('playwright-core').Page} page @param {...string} keys */
async function press(page, ...keys) {
	for (const key of keys) await page.keyboard.press(key);
}

/** Whether the focus is inside of the open dialog. @param {import('playwright-core').Page} page */
const inDialog = (page) =>
	page.evaluate(() => Boolean(document.activeElement?.closest('dialog[open]')));

it('opens and closes help, and gives the focus back', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors/history?range=24h');
	const row = tab.page.locator('[data-row-link]').first();
	await row.waitFor();
	await row.focus();
	await press(tab.page, '?');
	const help = tab.page.getByRole('dialog', { name: 'Keyboard shortcuts' });
	await help.waitFor();
	for (const text of ['Next row', 'Search in messages', 'Go to incidents']) {
		await help.getByText(text).waitFor();
	}
	// The focus goes round inside; keys of the page do nothing meanwhile.
	for (let n = 0; n < 4; n++) {
		await press(tab.page, 'Tab');
		const place = await tab.page.evaluate(() => document.activeElement?.tagName);
		expect((await inDialog(tab.page)) || place === 'BODY', String(place)).toBe(true);
	}
	await press(tab.page, 'j', 'g', 'i');
	expect(tab.page.url()).toContain('/errors/history');
	await press(tab.page, 'Escape');
	await help.waitFor({ state: 'hidden' });
	expect(await row.evaluate((one) => one === document.activeElement)).toBe(true);
	tab.quiet();
	await tab.done();
});

it('goes to each section by g and a letter', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors');
	for (const [letter, path] of Object.entries({
		e: '/errors/history',
		i: '/errors/incidents',
		r: '/errors/rules',
		c: '/errors/channels',
		s: '/errors/silences',
		t: '/errors/status',
		o: '/errors'
	})) {
		await press(tab.page, 'g', letter);
		await tab.page.waitForURL((url) => url.pathname === path);
		await tab.page.locator('h1').first().waitFor();
	}
	tab.quiet();
	await tab.done();
});

it('searches and walks through rows; typing is left alone', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors/history?range=24h');
	await tab.page.locator('[data-row-link]').nth(2).waitFor();
	await press(tab.page, '/');
	const search = tab.page.getByRole('searchbox');
	expect(await search.evaluate((one) => one === document.activeElement)).toBe(true);
	await tab.page.keyboard.type('gip?/jk');
	expect(await search.inputValue()).toBe('gip?/jk');
	expect(await tab.page.getByRole('dialog').count()).toBe(0);
	expect(tab.page.url()).toContain('/errors/history');
	await search.fill('');
	await search.blur();

	const at = () =>
		tab.page.evaluate(() =>
			[...document.querySelectorAll('[data-row-link]')].indexOf(
				/** @type {Element} */ (document.activeElement)
			)
		);
	await tab.page.locator('[data-row-link]').nth(2).waitFor();
	await press(tab.page, 'j');
	expect(await at()).toBe(0);
	await press(tab.page, 'j', 'j');
	expect(await at()).toBe(2);
	await press(tab.page, 'k');
	expect(await at()).toBe(1);
	tab.quiet();
	await tab.done();
});

it('takes an incident in hand, gives it back and mutes it without a mouse', async () => {
	const name = `Keys ${Date.now()}`;
	const error_type = `execution.keys_${Date.now()}`;
	const made = await rest('/alert_rules?select=rule_id', {
		method: 'POST',
		headers: { prefer: 'return=representation' },
		body: { name, warning: 1, window_seconds: 600, error_types: [error_type] }
	});
	const { rule_id } = made.body[0];
	await eventually('the tracker has read the rule, and it fires', async () => {
		await insertErrors(1, { error_type, message: 'by keyboard' });
		const { body } = await rest(`/alert_incidents?select=incident_id&rule_id=eq.${rule_id}`);
		return body.length > 0;
	});
	const tab = await open('global');
	const { page } = tab;
	await visit(page, '/errors/incidents?span=24h');
	const row = page.getByRole('row').filter({ hasText: name });
	await row.getByRole('button', { name: 'Acknowledge' }).waitFor();
	const resolved = page.getByRole('region', { name: 'Resolved incidents' });
	await resolved.locator('[data-row-link]').first().waitFor();
	const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
	// All rows one after the other: those of the open incidents, then those of the past.
	const rows = await page.locator('[data-row-link]').count();
	for (let n = 0; n < rows; n++) await press(page, 'j');
	expect(
		await resolved.evaluate((region) => region.contains(document.activeElement)),
		await focused()
	).toBe(true);
	for (let n = 0; n < rows && !(await focused()).includes(name); n++) await press(page, 'k');
	expect(await focused()).toContain(name);
	await press(page, 'e');
	await row.getByText('has it in hand').waitFor();

	// The button that was pressed is gone, and the focus with it.
	await row.getByRole('link', { name }).focus();
	await press(page, 'Enter');
	await page.getByRole('heading', { name, level: 1 }).waitFor();
	await page.getByText(/took it in hand/).waitFor();
	await page.getByRole('button', { name: 'Give back' }).waitFor();
	await press(page, 'e');
	await page.getByText(/gave it back/).waitFor();
	await page.getByRole('button', { name: 'Acknowledge' }).waitFor();
	await press(page, 'm');
	expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('SELECT');
	await press(page, 'Tab');
	await page.keyboard.type('muted by keys: e, m, j');
	await press(page, 'Enter');
	await page.getByText('silenced until', { exact: false }).waitFor();
	expect(page.url()).toContain('/errors/incidents/');
	await rest(`/alert_rules?rule_id=eq.${rule_id}`, { method: 'DELETE' });
	tab.quiet();
	await tab.done();
});

it("opens an error and a range of one's own by Enter, and closes them by Escape", async () => {
	const tab = await open('owner');
	const { page } = tab;
	await visit(page, '/errors/history?range=24h');
	for (const [opener, title] of /** @type {const} */ ([
		[page.locator('[data-row-link]').nth(1), 'Error event'],
		[page.locator('[aria-haspopup="dialog"]').first(), 'Time range']
	])) {
		await opener.focus();
		await press(page, 'Enter');
		const dialog = page.getByRole('dialog', { name: title });
		await dialog.waitFor();
		expect(await inDialog(page), `${title}: the focus is inside`).toBe(true);
		await press(page, 'Escape');
		await dialog.waitFor({ state: 'hidden' });
		expect(await opener.evaluate((one) => one === document.activeElement), title).toBe(true);
	}
	tab.quiet();
	await tab.done();
});

it('pauses and resumes the feed by p', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors?range=15m');
	await tab.page.getByRole('button', { name: 'Pause' }).waitFor();
	await press(tab.page, 'p');
	await tab.page.getByRole('button', { name: 'Resume' }).waitFor();
	await press(tab.page, 'p');
	await tab.page.getByRole('button', { name: 'Pause' }).waitFor();
	tab.quiet();
	await tab.done();
});

it('has the fields of a rule in the order in which one reads them', async () => {
	const tab = await open('global');
	await visit(tab.page, '/errors/rules/new');
	const fields = tab.page.locator(
		'form :is(input, select, textarea):not([type=hidden]):not([disabled])'
	);
	await fields.first().focus();
	const count = await fields.count();
	/** @type {number[]} */
	const tops = [];
	for (let n = 0; n < count; n++) {
		const inside = await tab.page.evaluate(() => {
			const element = document.activeElement;
			if (!element?.closest('form')) return null;
			// Fields of one line count as one step.
			return Math.round(element.getBoundingClientRect().top + window.scrollY);
		});
		if (inside !== null) tops.push(inside);
		await press(tab.page, 'Tab');
	}
	expect(tops.length).toBeGreaterThan(8);
	for (let n = 1; n < tops.length; n++) {
		expect(tops[n], `step ${n} of ${tops}`).toBeGreaterThanOrEqual(tops[n - 1] - 48);
	}
	tab.quiet();
	await tab.done();
});
