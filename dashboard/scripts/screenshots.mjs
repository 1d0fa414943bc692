// Pictures of each page in both themes, of a running `make dev`: into screenshots/ (not committed),
// and those of the README and the docs into docs/pictures/. Needs Chromium.
//
// usage: node scripts/screenshots.mjs [http://localhost:5173]

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const base = process.argv[2] ?? 'http://localhost:5173';
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const all = join(root, 'screenshots');
const committed = join(root, '..', 'docs', 'pictures');

/**
 * Name, address, what must be there, and the link to follow where the address has an id.
 * @type {[string, string, string, string?][]}
 */
const PAGES = [
	['overview', '/errors?range=15m', '.list li'],
	['explorer', '/errors/history', 'tbody tr'],
	['incidents', '/errors/incidents', 'main h1'],
	['rules', '/errors/rules', 'main h1'],
	['rule', '/errors/rules/new', '.verdict'],
	['channels', '/errors/channels', 'main h1'],
	['silences', '/errors/silences', 'main h1'],
	['status', '/errors/status', '.facts'],
	['group', '/errors', '.samples li', 'a[data-row-link]'],
	['incident', '/errors/incidents', '.columns', 'a[data-row-link]:has-text("Error burst")'],
	['rule-edit', '/errors/rules', '.verdict', 'a[data-row-link]']
];
/** Those of the README and the docs: page, theme, file. */
const COMMITTED = [
	['overview', 'light', 'overview.png'],
	['overview', 'dark', 'overview-dark.png'],
	['rule', 'light', 'rule.png'],
	...['group', 'explorer', 'incidents', 'incident', 'channels', 'silences', 'status'].map(
		(name) => [name, 'light', `${name}.png`]
	)
];
/** The tallest picture that a page of the docs shows. */
const TALLEST = 1100;

const executablePath = [
	'/usr/bin/chromium',
	'/usr/bin/chromium-browser',
	'/usr/bin/google-chrome'
].find(existsSync);
if (!executablePath) {
	console.error('missing: Chromium; on Debian: apt-get install chromium');
	process.exit(1);
}
mkdirSync(all, { recursive: true });
mkdirSync(committed, { recursive: true });
const browser = await chromium.launch({
	executablePath,
	args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(
		' '
	)
});
try {
	for (const theme of /** @type {const} */ (['light', 'dark'])) {
		const context = await browser.newContext({
			colorScheme: theme,
			viewport: { width: 1280, height: 860 }
		});
		const page = await context.newPage();
		await page.goto(`${base}/auth/login`);
		await page.screenshot({ path: join(all, `sign-in-${theme}.png`) });
		await page.fill('input[type=email]', 'olga@example.com');
		await page.fill('input[type=password]', 'meshhook-demo');
		await page.click('button:has-text("Sign in")');
		await page.waitForURL('**/errors*');
		for (const [name, path, ready, follow] of PAGES) {
			await page.goto(base + path);
			if (follow) await page.click(follow);
			await page.waitForSelector(ready);
			await page.waitForFunction(() => !document.querySelector('main [aria-busy]'));
			// Charts are drawn in the frames after their numbers came.
			await page.waitForFunction(() => document.fonts.status === 'loaded');
			await page.waitForTimeout(800);
			await page.screenshot({ path: join(all, `${name}-${theme}.png`), fullPage: true });
			const wanted = COMMITTED.find(([of, look]) => of === name && look === theme);
			if (!wanted) continue;
			const tall = await page.evaluate(() => document.documentElement.scrollHeight);
			const height = name === 'overview' ? 860 : Math.min(TALLEST, tall);
			await page.screenshot({
				path: join(committed, wanted[2]),
				fullPage: true,
				clip: { x: 0, y: 0, width: 1280, height }
			});
		}
		await context.close();
	}
} finally {
	await browser.close();
}
console.log(`written to ${all} and ${committed}`);
