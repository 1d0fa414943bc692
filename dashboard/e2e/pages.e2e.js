// Every page, in both themes and on a phone: it is alive, axe finds nothing, nothing is wider than the
// screen. Pictures of each go to screenshots/.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { axe, close, launch, open, rest, settled, shoot, visit } from './browser.js';

const ACME = 'ac3e0000-0000-4000-8000-000000000001';
const GLOBEX = '910be000-0000-4000-8000-000000000002';

/** @type {{ name: string, path: string, ready?: string }[]} */
const PAGES = [
	{ name: 'overview', path: '/errors?range=24h', ready: '.errors-app' },
	{ name: 'explorer', path: '/errors/history?range=24h' },
	{ name: 'incidents', path: '/errors/incidents?span=24h', ready: 'text=Workflow keeps failing' },
	{ name: 'incident', path: '', ready: 'text=Time line' },
	{ name: 'rules', path: '/errors/rules', ready: 'text=Error burst' },
	{ name: 'rule-new', path: '/errors/rules/new', ready: '.verdict' },
	{
		name: 'rule',
		path: '/errors/rules/12e00000-0000-4000-8000-000000000001',
		ready: '.verdict'
	},
	{ name: 'channels', path: '/errors/channels?new=webhook', ready: 'text=Ops Slack' },
	{ name: 'silences', path: '/errors/silences', ready: 'text=Next two weeks' },
	{ name: 'status', path: '/errors/status', ready: 'h2:text("Instances")' },
	{ name: 'group', path: '' }
];

/** What they are called that are made for the pictures. */
const REASON = 'Webhook migration';
const NIGHT = 'Night';

beforeAll(async () => {
	await launch();
	const past = await rest(
		'/alert_incidents?select=incident_id&state=eq.resolved&order=started_at.desc&limit=1'
	);
	page('incident').path = `/errors/incidents/${past.body[0].incident_id}`;
	const groups = await rest('/error_groups?select=fingerprint&order=count.desc&limit=1');
	page('group').path = `/errors/${groups.body[0].fingerprint}?range=24h`;
	await rest('/alert_silences', {
		method: 'POST',
		body: {
			project_id: ACME,
			matchers: { source: 'webhook' },
			ends_at: new Date(Date.now() + 30 * 3_600_000).toISOString(),
			reason: REASON
		}
	});
	await rest('/alert_quiet_hours', {
		method: 'POST',
		body: {
			// Of a project without tests of messages, and gone with this file: it would hold them back.
			project_id: GLOBEX,
			name: NIGHT,
			days: [1, 2, 3, 4, 5],
			starts: '22:00',
			ends: '07:00',
			time_zone: 'Europe/Berlin',
			allow_critical: true
		}
	});
});
afterAll(async () => {
	await rest(`/alert_quiet_hours?name=eq.${NIGHT}`, { method: 'DELETE' });
	await rest(`/alert_silences?reason=eq.${encodeURIComponent(REASON)}`, {
		method: 'PATCH',
		body: { ends_at: new Date().toISOString() }
	});
	await close();
});

/** @param {string} name */
function page(name) {
	return /** @type {typeof PAGES[number]} */ (PAGES.find((one) => one.name === name));
}

describe.each(/** @type {const} */ (['light', 'dark']))('in the %s theme', (theme) => {
	it.each(PAGES.map((one) => one.name))('%s', async (name) => {
		const { path, ready } = page(name);
		const tab = await open('global', { theme });
		await visit(tab.page, path);
		if (ready) await tab.page.locator(ready).first().waitFor();
		await settled(tab.page);
		await tab.page.waitForTimeout(600); // Charts draw in the frames after their numbers came.
		expect(await tab.page.evaluate(() => document.documentElement.dataset.theme)).toBe(theme);
		expect(await tab.page.locator('h1').count()).toBe(1);
		await shoot(tab.page, `${name}-${theme}`);
		expect(await axe(tab.page)).toEqual([]);
		tab.quiet(/api\/alert-rules\/preview/);
		await tab.done();
	});
});

describe('on a phone', () => {
	it.each(PAGES.map((one) => one.name))('%s', async (name) => {
		const { path, ready } = page(name);
		const tab = await open('global', { width: 390, height: 844 });
		await visit(tab.page, path);
		if (ready) await tab.page.locator(ready).first().waitFor();
		await settled(tab.page);
		await shoot(tab.page, `${name}-phone`);
		const [wide, inner] = await tab.page.evaluate(() => [
			document.documentElement.scrollWidth,
			window.innerWidth
		]);
		expect(wide, 'nothing is wider than the screen').toBeLessThanOrEqual(inner);
		await tab.done();
	});
});
