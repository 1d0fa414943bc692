import { MAX_TEXT, cut, detached } from './snapshot.js';

/** @import { ErrorFacts } from './classify.js' */

// Reads what matters from whatever was thrown. Getters of foreign objects may throw, and everything
// may be missing or of the wrong type, so each look at a field stands alone.

const MAX_CAUSES = 5;

/**
 * @param {any} value
 * @param {string} field
 * @returns {any}
 */
export function peek(value, field) {
	try {
		return value?.[field];
	} catch {
		return undefined;
	}
}

/** @param {any} error @returns {number | undefined} */
function statusOf(error) {
	for (const status of [
		peek(error, 'status'),
		peek(error, 'statusCode'),
		peek(peek(error, 'response'), 'status'),
		peek(peek(error, 'response'), 'statusCode')
	]) {
		if (Number.isInteger(status) && status >= 100 && status <= 599) return status;
	}
	return undefined;
}

/** @param {any} error @returns {string} */
function nameOf(error) {
	const name = peek(error, 'name');
	if (typeof name === 'string' && name !== '' && name !== 'Error') return short(name, 100);
	// A class that does not set `name` inherits it; its constructor still knows better.
	const constructor = peek(peek(error, 'constructor'), 'name');
	if (typeof constructor === 'string' && constructor !== '' && constructor !== 'Object') {
		return short(constructor, 100);
	}
	return typeof name === 'string' && name !== '' ? name : 'Error';
}

/** @param {string} text @param {number} characters */
function short(text, characters) {
	return text.length <= characters ? text : detached(text.slice(0, characters));
}

/** @param {any} error @param {string | undefined} code @returns {string} */
function messageOf(error, code) {
	const message = peek(error, 'message');
	if (typeof message === 'string' && message !== '') return bounded(message);
	// Node reports a host with several addresses as an AggregateError without a message.
	const inner = peek(peek(peek(error, 'errors'), '0'), 'message');
	if (typeof inner === 'string' && inner !== '') return bounded(inner);
	return code ?? nameOf(error);
}

/** @param {string} text */
export function bounded(text) {
	return text.length <= MAX_TEXT ? text : `${cut(text, MAX_TEXT)}… [cut: ${text.length} characters]`;
}

/** @param {unknown} value @returns {ErrorFacts} */
function factsOfOne(value) {
	if (value === null || (typeof value !== 'object' && typeof value !== 'function')) {
		const text = typeof value === 'string' && value !== '' ? value : `${String(value)} was thrown`;
		return { name: 'NonError', message: bounded(text) };
	}
	const code = peek(value, 'code');
	const text = typeof code === 'string' && code !== '' ? short(code, 64) : undefined;
	/** @type {ErrorFacts} */
	const facts = { name: nameOf(value), message: messageOf(value, text) };
	if (text !== undefined) facts.code = text;
	const status = statusOf(value);
	if (status !== undefined) facts.status = status;
	return facts;
}

/**
 * @param {unknown} error whatever was thrown
 * @returns {ErrorFacts}
 */
export function describe(error) {
	const facts = factsOfOne(error);
	/** @type {ErrorFacts[] | undefined} */
	let causes;
	const seen = [error];
	let next = causeOf(error);
	while (next !== undefined && next !== null && !seen.includes(next) && seen.length <= MAX_CAUSES) {
		(causes ??= []).push(factsOfOne(next));
		seen.push(next);
		next = causeOf(next);
	}
	if (causes !== undefined) facts.causes = causes;
	return facts;
}

/** @param {unknown} error */
function causeOf(error) {
	if (error === null || typeof error !== 'object') return undefined;
	return peek(error, 'cause') ?? peek(peek(error, 'errors'), '0');
}
