// Signing in, and what each role may do: controls that are not there, and requests that are refused.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, launch, open, rest, tokenOf, USERS, visit } from './browser.js';

const RULE = '12e00000-0000-4000-8000-000000000002';

beforeAll(launch);
afterAll(close);

it('sends strangers to the sign-in page, and back to where they wanted to go', async () => {
	const tab = await open(null);
	await tab.page.goto('/errors/rules?project=ac3e0000-0000-4000-8000-000000000001');
	await tab.page.waitForURL('**/auth/login?next=*');
	await tab.page.getByLabel('E-mail').fill(USERS.viewer);
	await tab.page.getByLabel('Password').fill('wrong');
	await tab.page.getByRole('button', { name: 'Sign in' }).click();
	await tab.page.getByRole('alert').waitFor();
	await tab.page.getByLabel('Password').fill('meshhook-demo');
	await tab.page.getByRole('button', { name: 'Sign in' }).click();
	await tab.page.waitForURL('**/errors/rules?project=*');
	await tab.page.getByRole('heading', { name: 'Rules', level: 1 }).waitFor();
	await tab.page.getByRole('button', { name: 'Sign out' }).click();
	await tab.page.waitForURL('**/auth/login**');
	await tab.done();
});

describe.each(
	/** @type {const} */ ([
		['viewer', { rules: false, silence: false, names: ['Workflow keeps failing'] }],
		['responder', { rules: false, silence: true, names: ['Workflow keeps failing'] }],
		['admin', { rules: true, silence: true, names: ['Workflow keeps failing'] }],
		['owner', { rules: true, silence: true, names: ['Workflow keeps failing'] }],
		['otherOwner', { rules: true, silence: true, names: ['Failure ratio'] }],
		['global', { rules: true, silence: true, names: ['Error burst', 'Failure ratio'] }]
	])
)('as %s', (user, { rules, silence, names }) => {
	it('sees the own projects, and the controls of the role', async () => {
		const tab = await open(user);
		await visit(tab.page, '/errors/rules');
		for (const name of names) await tab.page.getByRole('link', { name, exact: true }).waitFor();
		expect(await tab.page.getByRole('link', { name: 'Failure ratio', exact: true }).count()).toBe(
			['otherOwner', 'global'].includes(user) ? 1 : 0
		);
		expect(await tab.page.getByRole('link', { name: 'New rule' }).count()).toBe(rules ? 1 : 0);
		expect((await tab.page.getByRole('switch').count()) > 0).toBe(rules);
		await visit(tab.page, '/errors/silences');
		await tab.page.getByText('Next two weeks').waitFor();
		expect(await tab.page.getByRole('button', { name: 'Silence', exact: true }).count()).toBe(
			silence ? 1 : 0
		);
		await visit(tab.page, '/errors/channels');
		await tab.page.getByRole('heading', { name: 'Channels', level: 1 }).waitFor();
		expect(await tab.page.getByText('New channel').count()).toBe(rules ? 1 : 0);
		expect((await tab.page.getByRole('button', { name: 'Send test' }).count()) > 0).toBe(rules);
		await visit(tab.page, '/errors/status');
		await tab.page.getByRole('heading', { name: 'Instances' }).waitFor();
		tab.quiet();
		await tab.done();
	});
});

it('says so when a request that no control offers is refused', async () => {
	const tab = await open('viewer');
	await visit(tab.page, '/errors/rules');
	// What the page does not offer is sent all the same.
	await tab.page.evaluate((id) => {
		const form = document.createElement('form');
		form.method = 'POST';
		form.action = '/errors/rules?/enable';
		for (const [name, value] of [
			['id', id],
			['enabled', 'false']
		]) {
			const input = document.createElement('input');
			input.name = name;
			input.value = value;
			form.append(input);
		}
		document.body.append(form);
		form.submit();
	}, RULE);
	await tab.page.getByRole('alert').filter({ hasText: 'may not change it' }).waitFor();
	const still = await rest(`/alert_rules?select=enabled&rule_id=eq.${RULE}`);
	expect(still.body).toEqual([{ enabled: true }]);

	await visit(tab.page, '/errors/rules/new');
	await tab.page.getByText('You may not make rules.').waitFor();
	await tab.page.getByRole('textbox', { name: 'Name', exact: true }).fill('Not mine to make');
	await tab.page.getByRole('button', { name: 'Create rule' }).click();
	await tab.page.getByRole('alert').filter({ hasText: 'You may not do this.' }).waitFor();
	const made = await rest('/alert_rules?select=rule_id&name=eq.Not mine to make');
	expect(made.body).toEqual([]);
	await tab.done();

	// The database itself says no, whoever asks.
	const token = await tokenOf('viewer');
	for (const [method, path, body] of /** @type {const} */ ([
		[
			'POST',
			'/alert_rules',
			{ name: 'x', warning: 1, project_id: 'ac3e0000-0000-4000-8000-000000000001' }
		],
		[
			'POST',
			'/alert_silences',
			{ ends_at: '2126-01-01', project_id: 'ac3e0000-0000-4000-8000-000000000001' }
		],
		[
			'POST',
			'/alert_channels',
			{ name: 'x', kind: 'slack', project_id: 'ac3e0000-0000-4000-8000-000000000001' }
		]
	])) {
		const answer = await rest(path, { method, body, token });
		expect([answer.status, answer.body?.code], path).toEqual([403, '42501']);
	}
});
