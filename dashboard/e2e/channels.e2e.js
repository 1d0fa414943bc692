// Channels: a secret goes in and never comes out; tests are sent; what is broken says why.

import { afterAll, beforeAll, expect, it } from 'vitest';
import {
	close,
	control,
	eventually,
	launch,
	open,
	rest,
	stack,
	tokenOf,
	visit
} from './browser.js';

beforeAll(launch);
afterAll(close);

it('keeps a secret that nobody can read back', async () => {
	const name = `Team ${Date.now()}`;
	const secret = `${stack.slackUrl}/services/T00/B00/very-secret-${Date.now()}`;
	const tab = await open('global');
	/** @type {string[]} */
	const answers = [];
	tab.page.on('response', async (response) => {
		answers.push(await response.text().catch(() => ''));
	});
	await visit(tab.page, '/errors/channels?new=slack');
	const form = tab.page.getByRole('region', { name: 'New channel' });
	await form.getByLabel('Name').fill(name);
	await form.getByLabel('Address of the incoming webhook').fill(secret);
	await form.getByRole('button', { name: 'Create' }).click();
	const card = tab.page.getByRole('article', { name });
	await card.getByText('stored').waitFor();
	await card.getByRole('button', { name: 'Send test' }).click();
	await card.getByText(/The test (arrived|waits)/).waitFor();
	await eventually('the test arrives', async () =>
		(await control('/slack')).some((/** @type {any} */ one) => secret.endsWith(one.path))
	);
	await tab.page.reload();
	await card.getByText('stored').waitFor();
	expect(await tab.page.content()).not.toContain('very-secret');
	expect(answers.filter((text) => text.includes('very-secret'))).toEqual([]);
	tab.quiet();
	await tab.done();

	for (const token of [await tokenOf('global'), await tokenOf('admin'), stack.service]) {
		const channels = await rest('/alert_channels?select=*', { token });
		expect(JSON.stringify(channels.body)).not.toContain('very-secret');
		expect((await rest('/channel_secrets?select=*', { token })).status).toBe(404);
	}
});

it('shows why a channel is broken, and refuses what cannot be', async () => {
	const tab = await open('admin');
	await visit(tab.page, '/errors/channels?new=email');
	await tab.page.getByText('HTTP 410: the address is gone').waitFor();
	const form = tab.page.getByRole('region', { name: 'New channel' });
	await form.getByLabel('Name').fill('Nobody');
	await form.getByRole('button', { name: 'Create' }).click();
	await form.getByText('Must list 1 to 50 addresses for email.').first().waitFor();
	expect((await rest('/alert_channels?select=name&name=eq.Nobody')).body).toEqual([]);
	await tab.done();
});
