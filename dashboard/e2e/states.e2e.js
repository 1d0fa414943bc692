// What cards, charts and the back-test show while answers are late, fail, or are no longer asked for.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { close, launch, open, rest, settled, visit } from './browser.js';

const RULE = '12e00000-0000-4000-8000-000000000001';
const PREVIEW = '**/api/alert-rules/preview';
const FAILURE = {
	status: 500,
	headers: { 'access-control-allow-origin': '*' },
	contentType: 'application/json',
	body: '{"code":"XX000","message":"made to fail"}'
};

beforeAll(launch);
afterAll(close);

it('back-tests once after typing, calls off what is no longer asked, and says that it is older', async () => {
	const tab = await open('global');
	const { page } = tab;
	await visit(page, '/errors/rules/new');
	const verdict = page.getByText(/Would (not )?have fired/);
	await verdict.waitFor();

	/** @type {string[]} */
	const asked = [];
	let called = 0;
	/** @type {() => void} */
	let release = () => {};
	const held = new Promise((resolve) => (release = () => resolve(undefined)));
	page.on('requestfailed', (request) => {
		if (request.url().includes('/preview')) called++;
	});
	await page.route(PREVIEW, async (route) => {
		if (route.request().method() === 'POST') {
			asked.push(route.request().postDataJSON().rule.error_types.join());
			await held;
		}
		// Nobody waits for the answer of a call that was called off.
		await route.continue().catch(() => {});
	});
	const types = page.getByLabel('Error types');
	await types.pressSequentially('execution.db', { delay: 30 });
	await page.getByText('The rule was changed; working…').waitFor();
	await expect.poll(() => asked).toEqual(['execution.db']);
	expect(await verdict.count(), 'the older answer stays').toBe(1);

	await types.fill('execution.http');
	await expect.poll(() => asked).toEqual(['execution.db', 'execution.http']);
	await expect.poll(() => called).toBe(1);
	await page.getByText('The rule was changed; working…').waitFor();
	release();
	await page.getByText('The rule was changed; working…').waitFor({ state: 'detached' });
	await verdict.waitFor();
	expect(asked).toHaveLength(2);
	await tab.done();
});

it('says what failed, tries again, and keeps what is older while a refresh fails', async () => {
	const tab = await open('owner');
	const { page } = tab;
	const groups = '**/rest/v1/rpc/error_top_groups*';
	// The page also refreshes by itself when errors arrive: that fails as well until the button is pressed.
	let fails = true;
	await page.route(groups, (route) => (fails ? route.fulfill(FAILURE) : route.continue()));
	await page.exposeFunction('pressed', () => (fails = false));
	await page.addInitScript(() =>
		document.addEventListener(
			'click',
			(event) => {
				if (
					/** @type {Element} */ (event.target).closest('button')?.innerText.trim() === 'Try again'
				)
					/** @type {any} */ (window).pressed();
			},
			true
		)
	);
	await visit(page, '/errors?range=24h');
	const card = page.getByRole('region', { name: 'Top groups', exact: true });
	const again = card.getByRole('button', { name: 'Try again' });
	await card.getByRole('alert').getByText('The database could not answer.').waitFor();
	await again.click();
	await card.getByRole('row').nth(1).waitFor();

	fails = true;
	await page.keyboard.press('r');
	await card.getByText(/not refreshed, from/).waitFor();
	expect(await card.getByRole('row').count()).toBeGreaterThan(1);
	await again.click();
	await card.getByText(/not refreshed, from/).waitFor({ state: 'detached' });
	await tab.done();
});

it.each([
	['overview', '/errors?range=24h', null],
	['group', null, '/error_groups?select=id:fingerprint&order=count.desc&limit=1'],
	['rule with its back-test', `/errors/rules/${RULE}`, null],
	['status', '/errors/status', null]
])('every chart has a caption and a table: %s', async (_, path, found) => {
	const id = found && (await rest(found)).body[0].id;
	const tab = await open('global');
	await visit(tab.page, path ?? `/errors/${id}?range=24h`);
	await settled(tab.page);
	const chart = tab.page
		.locator('figure')
		.filter({ has: tab.page.getByRole('button', { name: /Show as/ }) })
		.first();
	const caption = chart.locator('figcaption');
	await chart.locator('canvas').first().waitFor({ state: 'attached' });
	expect(await caption.innerText()).toMatch(/\.$/);
	await chart.getByRole('button', { name: 'Show as table' }).click();
	const table = chart.getByRole('region').getByRole('table');
	await expect.poll(() => table.getByRole('row').count()).toBeGreaterThan(10);
	expect(await table.getByRole('columnheader').count()).toBeGreaterThan(1);
	await chart.getByRole('button', { name: 'Show as chart' }).click();
	await chart.locator('canvas').first().waitFor({ state: 'attached' });
	await tab.done();
});

it('zooms where somebody drags over the trend, and goes back', async () => {
	const tab = await open('owner');
	const { page } = tab;
	await visit(page, '/errors?range=24h');
	const plot = page.getByRole('region', { name: 'Trend', exact: true }).locator('.u-over');
	await plot.waitFor({ state: 'attached' });
	await plot.scrollIntoViewIfNeeded();
	const box = /** @type {{ x: number, y: number, width: number, height: number }} */ (
		await plot.boundingBox()
	);
	const y = box.y + box.height / 2;
	await page.mouse.move(box.x + box.width * 0.25, y);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.5, y, { steps: 8 });
	await page.mouse.up();
	await page.waitForURL(/from=.*to=/);
	const params = new URL(page.url()).searchParams;
	const hours =
		(Date.parse(params.get('to') ?? '') - Date.parse(params.get('from') ?? '')) / 3_600_000;
	expect(hours).toBeGreaterThan(5);
	expect(hours).toBeLessThan(7.5);
	await page.getByRole('button', { name: 'Back from zoom' }).click();
	await page.waitForURL((url) => url.searchParams.get('range') === '24h');
	tab.quiet();
	await tab.done();
});

it('holds still for those who asked for less motion', async () => {
	for (const [reducedMotion, moves] of /** @type {const} */ ([
		['reduce', false],
		['no-preference', true]
	])) {
		const tab = await open('owner', { reducedMotion });
		// A card that goes on loading shows the only thing that moves by itself.
		await tab.page.route('**/rest/v1/rpc/error_top_groups*', () => {});
		await visit(tab.page, '/errors');
		const bar = tab.page.getByRole('region', { name: 'Top groups', exact: true }).locator('.bar');
		await bar.first().waitFor();
		const animations = await tab.page.evaluate(
			() => document.getAnimations().filter((one) => one.playState === 'running').length
		);
		expect(animations > 0, reducedMotion).toBe(moves);
		await tab.done();
	}
});
