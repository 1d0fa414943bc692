// Debian's Chromium, signed-in pages, and what every test asks of them.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { expect, inject, onTestFailed } from 'vitest';

/** @typedef {import('playwright-core').Page} Page */

export const stack = inject('stack');
const PATHS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'];
const FLAGS = [
	'--headless',
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync'
];
const SCREENSHOTS = join(import.meta.dirname, '../screenshots');
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The demo users by role. */
export const USERS = {
	owner: 'alice@example.com',
	otherOwner: 'bob@example.com',
	viewer: 'vera@example.com',
	responder: 'rita@example.com',
	admin: 'adam@example.com',
	global: 'olga@example.com',
	stranger: 'nora@example.com'
};

/** @type {import('playwright-core').Browser | undefined} */
let browser;
/** Cookies of users who have signed in. @type {Map<string, any>} */
const sessions = new Map();

export async function launch() {
	const executablePath = PATHS.find((path) => path && existsSync(path));
	if (!executablePath)
		throw new Error('Chromium is missing; on Debian: apt-get install chromium (or set CHROMIUM)');
	browser = await chromium.launch({ executablePath, args: FLAGS });
	return browser;
}

export async function close() {
	await browser?.close();
	browser = undefined;
}

/**
 * A page of somebody's own; its errors fail the test that calls `quiet`.
 * @param {keyof typeof USERS | null} user
 * @param {{ theme?: 'light' | 'dark', width?: number, height?: number, javaScriptEnabled?: boolean, reducedMotion?: 'reduce' | 'no-preference' }} [options]
 */
export async function open(user, { theme = 'light', width = 1360, height = 900, ...rest } = {}) {
	browser ??= await launch();
	const context = await browser.newContext({
		baseURL: stack.web,
		viewport: { width, height },
		colorScheme: theme,
		reducedMotion: 'reduce',
		timezoneId: 'Europe/Berlin',
		acceptDownloads: true,
		...rest
	});
	context.setDefaultTimeout(45_000);
	const page = await context.newPage();
	/** @type {string[]} */
	const problems = [];
	page.on('pageerror', (error) => problems.push(`${page.url()}: ${error.message}`));
	page.on('console', (message) => {
		// A failed request's text has no address; its location does.
		if (message.type() === 'error')
			problems.push(`${page.url()}: ${message.text()} ${message.location().url}`.trimEnd());
	});
	onTestFailed(async ({ task }) => {
		if (!page.isClosed())
			await shoot(page, `failed-${task.name.replace(/\W+/g, '-').slice(0, 60)}`);
		for (const problem of problems) console.error(problem);
	});
	if (user) {
		const known = sessions.get(user);
		if (known) await context.addCookies(known);
		else {
			await signIn(page, user);
			sessions.set(user, await context.cookies());
		}
	}
	return {
		page,
		context,
		problems,
		/** Nothing went wrong but what is expected. @param {RegExp} [expected] */
		quiet: (expected) =>
			expect(problems.filter((one) => !expected || !expected.test(one))).toEqual([]),
		done: () => context.close()
	};
}

/** @param {Page} page @param {keyof typeof USERS} user */
export async function signIn(page, user) {
	await page.goto('/auth/login');
	await page.getByLabel('E-mail').fill(USERS[user]);
	await page.getByLabel('Password').fill('meshhook-demo');
	await page.getByRole('button', { name: 'Sign in' }).click();
	await page.waitForURL('**/errors');
}

/**
 * Goes to a page and waits until it is alive: the server draws the live chip as stopped, and the script
 * that starts it has made everything below it alive before.
 * @param {Page} page
 * @param {string} path
 */
export async function visit(page, path) {
	await page.goto(path);
	await page.locator('h1').first().waitFor();
	await page.locator('.errors-app .bar .chip:not(.stopped)').waitFor();
}

/** Waits until no card shows a skeleton. @param {Page} page */
export async function settled(page) {
	await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
}

/** Findings of axe, once nothing loads any more. @param {Page} page */
export async function axe(page) {
	await settled(page);
	await page.evaluate(AXE);
	const found = await page.evaluate(async () => {
		const { violations } = await /** @type {any} */ (window).axe.run(document, {
			resultTypes: ['violations']
		});
		return violations.map((/** @type {any} */ one) => ({
			id: one.id,
			help: one.help,
			nodes: one.nodes
				.slice(0, 4)
				.map(
					(/** @type {any} */ node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`
				)
		}));
	});
	return found;
}

/** @param {Page} page @param {string} name */
export async function shoot(page, name) {
	mkdirSync(SCREENSHOTS, { recursive: true });
	await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Asks the stack to do something. @param {string} path @returns {Promise<any>} */
export async function control(path) {
	const response = await fetch(stack.control + path);
	if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
	return response.json();
}

/**
 * The REST API as a user, or as the service.
 * @param {string} path
 * @param {{ method?: string, body?: unknown, token?: string, headers?: Record<string, string> }} [options]
 */
export async function rest(
	path,
	{ method = 'GET', body, token = stack.service, headers = {} } = {}
) {
	const response = await fetch(`${stack.supabase}/rest/v1${path}`, {
		method,
		headers: {
			apikey: stack.anon,
			authorization: `Bearer ${token}`,
			'content-type': 'application/json',
			...headers
		},
		body: body === undefined ? undefined : JSON.stringify(body)
	});
	const text = await response.text();
	return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** A user's token. @param {keyof typeof USERS} user */
export async function tokenOf(user) {
	const response = await fetch(`${stack.supabase}/auth/v1/token?grant_type=password`, {
		method: 'POST',
		headers: { apikey: stack.anon, 'content-type': 'application/json' },
		body: JSON.stringify({ email: USERS[user], password: 'meshhook-demo' })
	});
	return (await response.json()).access_token;
}

/** Inserts errors, now. @param {number} count @param {Record<string, unknown>} [fields] */
export async function insertErrors(count, fields = {}) {
	const one = {
		source: 'worker',
		error_type: 'execution.http',
		severity: 'high',
		project_id: 'ac3e0000-0000-4000-8000-000000000001',
		message: 'made by a browser test',
		...fields
	};
	const { status, body } = await rest('/error_metrics', {
		method: 'POST',
		body: Array.from({ length: count }, () => one),
		headers: { prefer: 'return=minimal' }
	});
	if (status !== 201) throw new Error(`insert: ${status} ${JSON.stringify(body)}`);
}

/** Waits until something is true. @template T @param {string} what @param {() => Promise<T | false | null | undefined>} condition @param {number} [patience] @returns {Promise<T>} */
export async function eventually(what, condition, patience = 30_000) {
	const deadline = Date.now() + patience;
	for (;;) {
		const value = await condition();
		if (value) return value;
		if (Date.now() > deadline) throw new Error(`not within ${patience} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
