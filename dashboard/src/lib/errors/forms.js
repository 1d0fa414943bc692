// What the server side of a form needs: run a deed under the caller's rights, and say what was wrong
// beside the field it concerns. Every form works without JavaScript.

import { fail } from '@sveltejs/kit';
import { getSupabase, requireAuth } from '$lib/auth.js';
import { ApiError, daemon, toApiError } from './api.js';
import { named } from './rule-fields.js';

/** @typedef {import('@sveltejs/kit').RequestEvent} RequestEvent */
/** @typedef {import('@supabase/supabase-js').SupabaseClient} SupabaseClient */

/**
 * What a page needs; where it cannot be had, what is empty and why.
 * @template {object} T
 * @param {T} empty
 * @param {() => Promise<Partial<T>>} read
 * @returns {Promise<T & { problem: { message: string, forbidden: boolean } | null }>}
 */
export async function loaded(empty, read) {
	try {
		return { ...empty, ...(await read()), problem: null };
	} catch (cause) {
		const { message, forbidden } = toApiError(cause);
		return { ...empty, problem: { message, forbidden } };
	}
}

/**
 * A form's action. `deed` gets the form, the caller's client, and a way to call the daemon as the
 * caller; what it returns goes back to the page with `done: true`.
 * @param {(form: FormData, client: SupabaseClient, call: (path: string, options?: { method?: string, body?: unknown }) => Promise<any>) => Promise<Record<string, unknown> | void>} deed
 * @param {{ name: string, fields?: string[], keep?: boolean }} options `name` tells the page which
 *   form it was; `fields` are its fields; without `keep` nothing that was typed is sent back.
 */
export function action(deed, { name, fields = [], keep = true }) {
	/** @param {RequestEvent} event */
	return async (event) => {
		requireAuth(event);
		const form = await event.request.formData();
		const call = async (/** @type {string} */ path, /** @type {any} */ options = {}) =>
			daemon(path, { ...options, token: await token(event) });
		try {
			return { form: name, done: true, ...(await deed(form, getSupabase(event), call)) };
		} catch (cause) {
			if (isControl(cause)) throw cause;
			const problem = toApiError(cause);
			return fail(statusOf(problem), {
				form: name,
				done: false,
				message: problem.forbidden && !problem.message ? 'You may not do this.' : problem.message,
				fields: named(problem.fields, fields),
				target: text(form, 'id'),
				values: keep ? values(form) : {}
			});
		}
	};
}

/** Redirects and errors of SvelteKit are thrown as well. @param {any} cause */
function isControl(cause) {
	return cause && typeof cause === 'object' && !(cause instanceof Error) && 'status' in cause;
}

/** @param {RequestEvent} event */
async function token(event) {
	const locals = /** @type {import('$lib/auth.js').Locals} */ (event.locals);
	return (await locals.getSession())?.access_token;
}

/** @param {ApiError} problem */
function statusOf(problem) {
	if (problem.forbidden) return 403;
	if (problem.status === 404 || problem.status === 409 || problem.status === 429)
		return problem.status;
	return problem.status === 0 || problem.status >= 500 ? 503 : 400;
}

/** What was typed, to be shown again; lists where a name comes several times. @param {FormData} form */
export function values(form) {
	/** @type {Record<string, string[]>} */
	const all = {};
	for (const [name, value] of form) {
		if (typeof value === 'string') (all[name] ??= []).push(value);
	}
	return all;
}

/** A field's trimmed text. @param {FormData} form @param {string} name */
export function text(form, name) {
	const value = form.get(name);
	return typeof value === 'string' ? value.trim() : '';
}

/** A field's text, or a refusal that names it. @param {FormData} form @param {string} name */
export function required(form, name, sentence = 'Must be given.') {
	const value = text(form, name);
	if (value === '') throw new ApiError(sentence, { status: 400, fields: { [name]: sentence } });
	return value;
}

/**
 * Row-level security hides rows instead of refusing: a change of nothing is a refusal.
 * @param {unknown[] | null} changed
 */
export function changedSomething(changed) {
	if (!changed || changed.length === 0) {
		throw new ApiError('It does not exist any more, or you may not change it.', {
			status: 403,
			code: '42501'
		});
	}
}
