// From a rule to an incident that somebody takes in hand: through the pages, with and without JavaScript.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { close, control, eventually, insertErrors, launch, open, rest, visit } from './browser.js';

const ACME = 'ac3e0000-0000-4000-8000-000000000001';

beforeAll(launch);
afterAll(close);

/** @param {string} text */
async function slackGot(text) {
	const received = await control('/slack');
	return received.find((/** @type {any} */ one) => JSON.stringify(one.body).includes(text));
}

it('makes a rule with a back-test, sees it fire, acknowledges and silences it', async () => {
	const name = `Burst ${Date.now()}`;
	const tab = await open('global');
	await visit(tab.page, '/errors/rules/new');
	await tab.page.getByLabel('Error types').fill('execution.e2e');
	await tab.page.getByRole('textbox', { name: 'Warning' }).fill('5');
	await tab.page.getByRole('textbox', { name: 'Critical' }).fill('500');
	// Long enough that it does not resolve before everything is done with it.
	await tab.page.getByLabel('Window', { exact: true }).fill('10');
	await tab.page.getByRole('checkbox', { name: /Ops Slack/ }).check();
	await tab.page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
	await tab.page.getByLabel('What to do when it fires').fill('Look at the browser test.');
	const sentence = tab.page.getByRole('status', { name: 'The rule in words' });
	await expect
		.poll(() => sentence.innerText())
		.toBe(
			'When there are 5 (critical: 500) or more errors of type execution.e2e in 10 min in all projects, tell Ops Slack, again every 4 h until somebody acknowledges.'
		);
	await tab.page.getByText(/Would not have fired/).waitFor();

	// Another filter is back-tested as it is typed: the history of the last day fires.
	await tab.page.getByLabel('Error types').fill('execution');
	await tab.page.getByText(/Would have fired/).waitFor();
	await tab.page.getByLabel('Error types').fill('execution.e2e');
	await tab.page.getByText(/Would not have fired/).waitFor();

	await tab.page.getByRole('button', { name: 'Create rule' }).click();
	await tab.page.waitForURL(/\/errors\/rules\/[0-9a-f-]{36}\?saved/);
	await tab.page.getByText('Saved. The tracker follows').waitFor();

	await tab.page.waitForTimeout(2500); // The tracker reads its rules within two seconds.
	await insertErrors(6, { error_type: 'execution.e2e', message: 'the browser test fails' });
	const message = await eventually('Slack hears of it', () => slackGot(name));
	expect(JSON.stringify(message.body)).toContain('Look at the browser test.');

	await visit(tab.page, '/errors/incidents');
	const row = tab.page.getByRole('row').filter({ hasText: name });
	await row.getByText('warning').waitFor();
	await row.getByRole('button', { name: 'Acknowledge' }).click();
	await row.getByText('has it in hand').waitFor();
	await row.getByRole('link', { name }).click();
	await tab.page.getByRole('heading', { name, level: 1 }).waitFor();
	await tab.page.getByText(/took it in hand/).waitFor();
	const evidence = tab.page.getByRole('region', { name: 'Evidence' });
	await evidence.getByRole('link', { name: 'the browser test fails' }).waitFor();
	await evidence.getByText(/first seen/).waitFor();
	const newest = evidence.getByRole('list', { name: 'Newest errors' });
	await newest.locator('summary').first().click();
	await newest.getByRole('link', { name: 'All errors of this group' }).first().waitFor();
	await tab.page
		.getByRole('listitem')
		.filter({ hasText: 'Ops Slack' })
		.getByText('sent')
		.first()
		.waitFor();

	await tab.page.getByLabel('Comment').fill('It is only a test.');
	await tab.page.getByRole('button', { name: 'Comment' }).click();
	await tab.page.getByText('It is only a test.').waitFor();
	await tab.page.getByLabel('Reason').fill('until it is over');
	await tab.page.getByRole('button', { name: 'Snooze' }).click();
	await tab.page.getByText('silenced until', { exact: false }).waitFor();
	await tab.page.getByRole('button', { name: 'Give back' }).click();
	await tab.page.getByText(/gave it back/).waitFor();

	await visit(tab.page, '/errors/silences');
	const silence = tab.page.getByRole('row').filter({ hasText: 'until it is over' });
	await silence.getByText('in force').waitFor();
	await silence.getByRole('button', { name: 'End now' }).click();
	await silence.getByText('over', { exact: true }).waitFor();

	// Off, so that other tests are not disturbed.
	await visit(tab.page, '/errors/rules');
	const rule = tab.page.getByRole('row').filter({ hasText: name });
	await rule.getByRole('switch').click();
	await rule.getByText('off', { exact: true }).waitFor();
	tab.quiet();
	await tab.done();
});

it('makes a rule of a group, for when it returns', async () => {
	const groups = await rest(
		`/error_groups?select=fingerprint&project_id=eq.${ACME}&error_type=eq.execution.timeout&limit=1`
	);
	const tab = await open('admin');
	await visit(tab.page, `/errors/${groups.body[0].fingerprint}?range=24h`);
	await tab.page.getByRole('link', { name: 'Alert me when it returns' }).click();
	await tab.page.waitForURL('**/errors/rules/new?*');
	const sentence = tab.page.getByRole('status', { name: 'The rule in words' });
	await expect
		.poll(() => sentence.innerText())
		.toMatch(
			/^When a group of errors of type execution\.timeout that say “.*timed out after” that was never seen before \(or not for 7 days\) has 1 or more in 5 min, counted per error group in Acme, /
		);
	tab.quiet(/api\/alert-rules\/preview/);
	await tab.done();
});

it('says beside the field what the server refused, and keeps what was typed', async () => {
	const tab = await open('admin');
	await visit(tab.page, '/errors/rules/new');
	await tab.page.getByRole('textbox', { name: 'Warning' }).fill('-3');
	await tab.page.getByRole('textbox', { name: 'Name', exact: true }).fill('Refused');
	await tab.page.getByRole('button', { name: 'Create rule' }).click();
	await tab.page.getByRole('alert').first().waitFor();
	const warning = tab.page.getByRole('textbox', { name: 'Warning' });
	await expect.poll(() => warning.getAttribute('aria-invalid')).toBe('true');
	const described = await warning.getAttribute('aria-describedby');
	const error = tab.page.locator(`#${described?.split(' ')[0]}`);
	expect(await error.innerText()).toBe('Must be above 0.');
	expect(await warning.inputValue()).toBe('-3');
	expect(await tab.page.getByRole('textbox', { name: 'Name', exact: true }).inputValue()).toBe(
		'Refused'
	);
	expect((await rest('/alert_rules?select=rule_id&name=eq.Refused')).body).toEqual([]);
	await tab.done();
});

it('keeps in a copy all that the rule has, and says at once what would be refused', async () => {
	const name = `Budget ${Date.now()}`;
	const pairs = [{ long_seconds: 7200, short_seconds: 600, factor: 10, level: 'warning' }];
	const words = {
		title_template: '{{ level|upper }} {{ rule.name }}',
		body_template: '{{ value_text }}'
	};
	const made = await rest('/alert_rules?select=rule_id', {
		method: 'POST',
		headers: { prefer: 'return=representation' },
		body: {
			name,
			project_id: ACME,
			metric: 'burn_rate',
			objective: 0.99,
			window_seconds: 2_592_000,
			burn_windows: pairs,
			flap_count: 5,
			flap_seconds: 7200,
			enabled: false,
			...words
		}
	});
	const tab = await open('admin');
	const { page } = tab;
	await visit(page, `/errors/rules/${made.body[0].rule_id}`);
	await page.getByRole('link', { name: 'Duplicate' }).click();
	await page.waitForURL('**/errors/rules/new?from=*');
	await page.getByRole('textbox', { name: 'Name', exact: true }).waitFor();
	const title = page.getByRole('textbox', { name: 'Title' });
	await title.fill('{{ nothing }}');
	// Beside the field, before anything is sent.
	await expect.poll(() => title.getAttribute('aria-invalid')).toBe('true');
	await page.getByRole('textbox', { name: 'Factor of pair 1' }).fill('1000');
	await page
		.getByText(/factor/i)
		.first()
		.waitFor();
	await expect
		.poll(() =>
			page.getByRole('textbox', { name: 'Factor of pair 1' }).getAttribute('aria-invalid')
		)
		.toBe('true');
	await title.fill(words.title_template);
	await page.getByRole('textbox', { name: 'Factor of pair 1' }).fill('10');
	await expect.poll(() => page.locator('[aria-invalid]').count()).toBe(0);
	await page.getByRole('button', { name: 'Create rule' }).click();
	await page.getByText('Saved. The tracker follows').waitFor();
	const copy = await rest(
		`/alert_rules?select=objective,burn_windows,flap_count,flap_seconds,title_template,body_template&name=eq.${encodeURIComponent(`${name} (copy)`)}`
	);
	expect(copy.body).toEqual([
		{ objective: 0.99, burn_windows: pairs, flap_count: 5, flap_seconds: 7200, ...words }
	]);
	await tab.done();
});

it('says that a template failed, until it is changed', async () => {
	const made = await rest('/alert_rules?select=rule_id', {
		method: 'POST',
		headers: { prefer: 'return=representation' },
		body: {
			name: `Words ${Date.now()}`,
			project_id: ACME,
			warning: 1000,
			// Well-formed, which is all that the database can see; but there is no such variable.
			title_template: '{{ nothing.at_all }}'
		}
	});
	const { rule_id } = made.body[0];
	await eventually('the daemon has tried it', async () => {
		const { body } = await rest(`/alert_rules?select=template_error&rule_id=eq.${rule_id}`);
		return body[0].template_error !== null;
	});
	const tab = await open('admin');
	await visit(tab.page, `/errors/rules/${rule_id}`);
	const failed = tab.page.getByText('Messages have the built-in words, because a template fails.');
	await failed.waitFor();
	await tab.page.getByRole('textbox', { name: 'Title' }).fill('{{ rule.name }}');
	await failed.waitFor({ state: 'detached' });
	await tab.done();
	await rest(`/alert_rules?rule_id=eq.${rule_id}`, { method: 'DELETE' });
});

it('works without JavaScript: makes, changes, duplicates and deletes a rule', async () => {
	const name = `Plain ${Date.now()}`;
	const tab = await open('admin', { javaScriptEnabled: false });
	const { page } = tab;
	await page.goto('/errors/rules/new?preset=ratio');
	await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
	await page.getByRole('textbox', { name: 'Warning' }).fill('0');
	await page.getByRole('combobox', { name: 'Project' }).selectOption(ACME);
	await page.getByRole('checkbox', { name: /Acme webhook/ }).check();
	await page.getByRole('button', { name: 'Create rule' }).click();
	await page.getByText('Must be above 0.').first().waitFor();
	expect(await page.getByRole('textbox', { name: 'Name', exact: true }).inputValue()).toBe(name);
	await page.getByRole('textbox', { name: 'Warning' }).fill('7.5');
	await page.getByRole('button', { name: 'Create rule' }).click();
	await page.getByText('Saved. The tracker follows').waitFor();
	const saved = await rest(
		`/alert_rules?select=rule_id,metric,warning,critical,window_seconds,project_id,alert_rule_channels(channel_id)&name=eq.${encodeURIComponent(name)}`
	);
	expect(saved.body[0]).toMatchObject({
		metric: 'ratio',
		warning: 0.075,
		critical: 0.2,
		window_seconds: 600,
		project_id: ACME
	});
	expect(saved.body[0].alert_rule_channels).toHaveLength(1);

	await page.getByRole('textbox', { name: 'Critical' }).fill('');
	await page.getByLabel('Window', { exact: true }).fill('1');
	await page.getByLabel('Unit of window').selectOption('3600');
	await page.getByRole('checkbox', { name: /Acme webhook/ }).uncheck();
	await page.getByRole('button', { name: 'Save' }).click();
	await page.getByText('Saved. The tracker follows').waitFor();
	const changed = await rest(
		`/alert_rules?select=critical,window_seconds,alert_rule_channels(channel_id)&name=eq.${encodeURIComponent(name)}`
	);
	expect(changed.body).toEqual([{ critical: null, window_seconds: 3600, alert_rule_channels: [] }]);

	await page.getByRole('link', { name: 'Duplicate' }).click();
	await page.waitForURL('**/errors/rules/new?from=*');
	expect(await page.getByRole('textbox', { name: 'Name', exact: true }).inputValue()).toBe(
		`${name} (copy)`
	);
	await page.getByRole('button', { name: 'Create rule' }).click();
	await page.getByText('Saved. The tracker follows').waitFor();
	const both = await rest(
		`/alert_rules?select=name,window_seconds&order=name&name=like.${encodeURIComponent(name)}*`
	);
	expect(both.body, 'the copy is a rule of its own').toEqual([
		{ name, window_seconds: 3600 },
		{ name: `${name} (copy)`, window_seconds: 3600 }
	]);
	await page.goto(`/errors/rules/${saved.body[0].rule_id}`);
	await page.getByText('Delete this rule…').click();
	await page.getByRole('button', { name: 'Delete for good' }).click();
	await page.waitForURL('**/errors/rules');
	expect(await page.getByRole('link', { name, exact: true }).count()).toBe(0);
	await tab.done();
});
