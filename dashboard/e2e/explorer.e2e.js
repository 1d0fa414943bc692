// Filters in the URL, a group, pages that stay while errors arrive, and CSV.

import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { close, insertErrors, launch, open, rest, visit } from './browser.js';

const ACME = 'ac3e0000-0000-4000-8000-000000000001';

beforeAll(launch);
afterAll(close);

it('filters by URL, and writes filters into it', async () => {
	const tab = await open('global');
	await visit(tab.page, `/errors/history?range=24h&severity=high&project=${ACME}`);
	const rows = tab.page.getByRole('table').getByRole('row');
	await expect.poll(() => rows.count()).toBeGreaterThan(10);
	const severities = await tab.page.locator('tbody tr').allInnerTexts();
	expect(severities.every((text) => /high/i.test(text))).toBe(true);
	await tab.page.getByRole('searchbox').fill('503');
	await tab.page.keyboard.press('Enter');
	await tab.page.waitForURL(/q=503/);
	expect(new URL(tab.page.url()).searchParams.get('severity')).toBe('high');
	await expect
		.poll(async () =>
			(await tab.page.locator('tbody tr').allInnerTexts()).every((text) => text.includes('503'))
		)
		.toBe(true);
	const link = tab.page.url();
	await tab.done();

	const other = await open('owner');
	await visit(other.page, link);
	expect(await other.page.getByRole('searchbox').inputValue()).toBe('503');
	await expect.poll(() => other.page.locator('tbody tr').count()).toBeGreaterThan(5);
	other.quiet();
	await other.done();
});

it('keeps its pages while errors arrive, and gives them as CSV', async () => {
	const tab = await open('owner');
	await visit(tab.page, '/errors/history?range=24h&type=input.schema');
	await tab.page.locator('tbody tr').first().waitFor();
	const first = await tab.page.locator('tbody tr').allInnerTexts();
	await insertErrors(5, {
		error_type: 'input.schema',
		severity: 'low',
		message: `arrived later ${Date.now()}`
	});
	await tab.page.getByRole('button', { name: 'Older' }).click();
	await expect
		.poll(async () => (await tab.page.locator('tbody tr').allInnerTexts())[0] !== first[0])
		.toBe(true);
	const second = await tab.page.locator('tbody tr').allInnerTexts();
	expect(second.filter((row) => first.includes(row))).toEqual([]);
	await tab.page.getByRole('button', { name: 'Newer', exact: true }).click();
	// The first page is of now, so what arrived stands above what was there.
	await expect.poll(() => tab.page.locator('tbody tr').allInnerTexts()).toContain(first[0]);

	const downloading = tab.page.waitForEvent('download');
	await tab.page.getByRole('link', { name: 'CSV' }).click();
	const download = await downloading;
	const csv = await readFile(/** @type {string} */ (await download.path()), 'utf8');
	const lines = csv.trim().split(/\r?\n/);
	expect(lines[0]).toContain('error_type');
	const expected = await rest(
		`/error_metrics?select=error_id&error_type=eq.input.schema&project_id=eq.${ACME}&timestamp=gte.${new Date(Date.now() - 86_400_000).toISOString()}`
	);
	// Rows of the first minute may have left the range meanwhile, and the five came later.
	expect(Math.abs(lines.length - 1 - expected.body.length)).toBeLessThanOrEqual(8);
	expect(lines.slice(1).every((line) => line.includes('input.schema'))).toBe(true);
	await tab.done();
});

it('resolves and reopens a group, whose samples are masked', async () => {
	const groups = await rest(
		`/error_groups?select=fingerprint,title&project_id=eq.${ACME}&error_type=eq.execution.timeout&limit=1`
	);
	const tab = await open('responder');
	await visit(tab.page, `/errors/${groups.body[0].fingerprint}?range=24h`);
	const workflows = tab.page.getByRole('region', { name: 'Affected workflows' });
	await workflows.getByRole('listitem').first().waitFor();
	await tab.page.getByRole('button', { name: /^Resolve/ }).click();
	await tab.page.getByRole('button', { name: 'Open again' }).waitFor();
	const resolved = await rest(
		`/error_groups?select=status&project_id=eq.${ACME}&fingerprint=eq.${groups.body[0].fingerprint}`
	);
	expect(resolved.body).toEqual([{ status: 'resolved' }]);
	await tab.page.getByRole('button', { name: 'Open again' }).click();
	await tab.page.getByRole('button', { name: /^Resolve/ }).waitFor();
	const samples = tab.page.getByRole('region', { name: 'Sample events' });
	await samples.locator('summary').first().click();
	await samples.getByText('authorization', { exact: false }).first().waitFor();
	expect(await tab.page.content()).not.toContain('abcdefghijklmnop');
	await tab.done();

	const viewer = await open('viewer');
	await visit(viewer.page, `/errors/${groups.body[0].fingerprint}?range=24h`);
	await viewer.page
		.getByRole('region', { name: 'Affected workflows' })
		.getByRole('listitem')
		.first()
		.waitFor();
	expect(await viewer.page.getByRole('button', { name: /^Resolve/ }).count()).toBe(0);
	await viewer.done();
});
