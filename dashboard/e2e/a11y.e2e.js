// axe where pages are not at rest: dialogs, refused forms, tables for charts, banners, other roles. And
// what a screen reader finds on the three main pages.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { axe, close, control, launch, open, settled, signIn, visit } from './browser.js';

/** @typedef {import('playwright-core').Page} Page */

beforeAll(launch);
afterAll(close);

/** @type {{ name: string, user?: 'global' | 'viewer', show: (page: Page) => Promise<void> }[]} */
const STATES = [
	{
		name: 'the help',
		show: async (page) => {
			await visit(page, '/errors');
			await page.keyboard.press('?');
			await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
		}
	},
	{
		name: 'the range picker',
		show: async (page) => {
			await visit(page, '/errors');
			await page.getByRole('button', { name: /Custom/ }).click();
			await page.getByRole('dialog', { name: 'Time range' }).waitFor();
		}
	},
	{
		name: 'an error event',
		show: async (page) => {
			await visit(page, '/errors/history?range=24h');
			await page.locator('[data-row-link]').first().click();
			await page.getByRole('dialog', { name: 'Error event' }).waitFor();
		}
	},
	{
		name: 'a chart as a table',
		show: async (page) => {
			await visit(page, '/errors?range=24h');
			await page.getByRole('button', { name: 'Show as table' }).first().click();
			await page.getByRole('button', { name: 'Show as chart' }).first().waitFor();
		}
	},
	{
		name: 'a refused form',
		show: async (page) => {
			await visit(page, '/errors/rules/new');
			await page.getByRole('textbox', { name: 'Warning' }).fill('-3');
			await page.getByRole('button', { name: 'Create rule' }).click();
			await page.locator('[aria-invalid="true"]').first().waitFor();
			await page.getByRole('alert').first().waitFor();
		}
	},
	{
		name: 'a rule for an objective',
		show: async (page) => {
			await visit(page, '/errors/rules/new?preset=slo');
			await page.getByText('When it comes and goes').click();
			await page.getByText('Own words for the messages').click();
			await page.getByRole('group', { name: 'Pair 4' }).waitFor();
		}
	},
	...['slack', 'slack_bot', 'email', 'webhook', 'pagerduty'].map((kind) => ({
		name: `a new channel: ${kind}`,
		show: async (/** @type {Page} */ page) => {
			await visit(page, `/errors/channels?new=${kind}`);
			await page.getByRole('region', { name: 'New channel' }).waitFor();
		}
	})),
	...[
		'/errors/rules',
		'/errors/rules/12e00000-0000-4000-8000-000000000002',
		'/errors/channels',
		'/errors/silences'
	].map((path) => ({
		name: `a viewer on ${path}`,
		user: /** @type {const} */ ('viewer'),
		show: (/** @type {Page} */ page) => visit(page, path)
	})),
	{
		name: 'a page that is not there',
		show: async (page) => {
			await page.goto('/errors/incidents/00000000-0000-4000-8000-000000000000');
			await page.getByRole('heading', { name: '404' }).waitFor();
		}
	}
];

describe.each(/** @type {const} */ (['light', 'dark']))('axe in the %s theme', (theme) => {
	it.each(STATES)('$name', async ({ user = 'global', show }) => {
		const tab = await open(user, { theme });
		await show(tab.page);
		expect(await axe(tab.page)).toEqual([]);
		await tab.done();
	});

	it('signing in', async () => {
		const tab = await open(null, { theme });
		await tab.page.goto('/auth/login');
		await tab.page.getByLabel('Password').waitFor();
		expect(await axe(tab.page)).toEqual([]);
		await tab.page.getByLabel('E-mail').fill('nobody@example.com');
		await tab.page.getByLabel('Password').fill('wrong');
		await tab.page.getByRole('button', { name: 'Sign in' }).click();
		await tab.page.getByRole('alert').waitFor();
		expect(await axe(tab.page)).toEqual([]);
		await signIn(tab.page, 'viewer');
		await tab.done();
	});
});

it('axe while the tracker does not run', async () => {
	await control('/daemon/stop');
	try {
		for (const theme of /** @type {const} */ (['light', 'dark'])) {
			const tab = await open('global', { theme });
			await visit(tab.page, '/errors');
			await tab.page.getByText('The error tracker is not running.').waitFor({ timeout: 60_000 });
			expect(await axe(tab.page)).toEqual([]);
			await tab.done();
		}
	} finally {
		await control('/daemon/start');
	}
});

/** Roles and names that a screen reader steps through, without what changes by the minute. @param {Page} page */
async function outline(page) {
	await settled(page);
	const tree = await page.locator('.errors-app').ariaSnapshot();
	return (
		tree
			.split('\n')
			.filter((line) =>
				/^\s*- (heading|navigation|region|table|columnheader|searchbox|combobox|textbox|group|figure)\b/.test(
					line
				)
			)
			.map((line) =>
				line
					.trim()
					.replace(/:$/, '')
					.replaceAll(/\d[\d,]*/g, '#')
			)
			// How many there would have been depends on the time of the day.
			.filter((line) => !/^- group: # incident/.test(line))
			.filter((line, i, all) => line !== all[i - 1])
			.join('\n')
	);
}

it.each([
	['overview', '/errors?range=24h'],
	['explorer', '/errors/history?range=24h'],
	['rule', '/errors/rules/12e00000-0000-4000-8000-000000000002']
])('what a screen reader finds: %s', async (name, path) => {
	const tab = await open('owner');
	await visit(tab.page, path);
	if (name === 'rule') await tab.page.getByText(/Would (not )?have fired/).waitFor();
	else await tab.page.getByRole('row').nth(2).waitFor();
	await expect(await outline(tab.page)).toMatchFileSnapshot(`outlines/${name}.txt`);
	await tab.done();
});
