// Signing in, and what each role may do: controls that are not there, and requests that are refused.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, launch, open, rest, tokenOf, USERS, visit } from './browser.js';

const ACME = 'ac3e0000-0000-4000-8000-000000000001';
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

it('tells who has no role what is missing, and not that the tracker is broken', async () => {
	const tab = await open('stranger');
	for (const path of ['/errors', '/errors/rules', '/errors/status']) {
		await visit(tab.page, path);
		await tab.page.getByText('You see no project yet.').waitFor();
		expect(await tab.page.locator('h1').count()).toBe(1);
	}
	// Longer than the page waits before it asks for the tracker again.
	await tab.page.waitForTimeout(6000);
	expect(
		await tab.page.getByText(/The error tracker is not running|state is not known/).count()
	).toBe(0);
	tab.quiet();
	await tab.done();
});

/**
 * Sends a form that the page does not have.
 * @param {import('playwright-core').Page} page
 * @param {string} action
 * @param {Record<string, string>} fields
 */
function send(page, action, fields) {
	return page.evaluate(([target, values]) => {
		const form = document.createElement('form');
		form.method = 'POST';
		form.action = target;
		for (const [name, value] of Object.entries(values)) {
			const input = document.createElement('input');
			input.name = name;
			input.value = value;
			form.append(input);
		}
		document.body.append(form);
		form.submit();
	}, /** @type {const} */ ([action, fields]));
}

it('says so when a role was taken away meanwhile', async () => {
	const groups = await rest(
		`/error_groups?select=fingerprint&project_id=eq.${ACME}&error_type=eq.execution.timeout&limit=1`
	);
	const tab = await open('responder');
	await visit(tab.page, `/errors/${groups.body[0].fingerprint}?range=24h`);
	const authorization = `Bearer ${await tokenOf('viewer')}`;
	await tab.page.route('**/rest/v1/error_groups*', (route) =>
		route.continue({ headers: { ...route.request().headers(), authorization } })
	);
	await tab.page.getByRole('button', { name: /^Resolve/ }).click();
	await tab.page.getByText('You may not change this group').waitFor();
	const still = await rest(
		`/error_groups?select=status&project_id=eq.${ACME}&fingerprint=eq.${groups.body[0].fingerprint}`
	);
	expect(still.body).toEqual([{ status: 'open' }]);
	await tab.done();
});

it('says so when a request that no control offers is refused', async () => {
	const tab = await open('viewer');
	await visit(tab.page, '/errors/rules');
	// What the page does not offer is sent all the same.
	await send(tab.page, '/errors/rules?/enable', { id: RULE, enabled: 'false' });
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

	const asked = await open('viewer');
	for (const [path, action, fields, says] of /** @type {const} */ ([
		[
			'/errors/silences',
			'create',
			{ project_id: ACME, length: '3600', reason: 'Not mine to silence' },
			'You may not do this.'
		],
		[
			'/errors/channels?new=slack',
			'create',
			{ project_id: ACME, kind: 'slack', name: 'Not mine to make' },
			'You may not do this.'
		]
	])) {
		await visit(asked.page, path);
		await send(asked.page, `${path.split('?')[0]}?/${action}`, fields);
		await asked.page.getByRole('alert').filter({ hasText: says }).waitFor();
	}
	expect(
		(await rest('/alert_silences?select=silence_id&reason=eq.Not mine to silence')).body
	).toEqual([]);
	expect((await rest('/alert_channels?select=channel_id&name=eq.Not mine to make')).body).toEqual(
		[]
	);
	await asked.done();

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
