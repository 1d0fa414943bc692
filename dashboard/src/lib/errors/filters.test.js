import { describe, expect, it } from 'vitest';
import { countFilters, noFilters, parseFilters, passes, toQuery, writeFilters } from './filters.js';

const ACME = 'ac3e0000-0000-4000-8000-000000000001';
const params = (/** @type {string} */ query) => new URLSearchParams(query);

describe('filters in the URL', () => {
	it('takes what is valid and leaves the rest', () => {
		const query = `project=${ACME}&severity=high,awful&severity=low&source=worker&type=execution,execution.http,;drop&workflow=1&q=boom`;
		expect(parseFilters(params(query))).toEqual({
			project: ACME,
			severities: ['high', 'low'],
			sources: ['worker'],
			types: ['execution', 'execution.http'],
			workflow: null,
			text: 'boom'
		});
	});

	it('comes back as it was written', () => {
		const filters = parseFilters(
			params(`project=none&severity=high,low&type=input.schema&q=a%20%26%20b&workflow=${ACME}`)
		);
		const written = params('range=7d&source=worker');
		writeFilters(written, filters);
		expect(parseFilters(written)).toEqual(filters);
		expect(written.get('source')).toBeNull();
		expect(written.get('range')).toBe('7d');
	});

	it('bounds the text', () => {
		expect(parseFilters(params(`q=${'x'.repeat(1000)}`)).text).toHaveLength(200);
	});

	it('counts', () => {
		expect(countFilters(noFilters())).toBe(0);
		expect(countFilters(parseFilters(params('q=x&severity=high,low')))).toBe(2);
	});
});

it('asks the database for what is set', () => {
	expect(toQuery(noFilters())).toEqual({});
	expect(
		toQuery({ ...noFilters(), project: ACME, workflow: ACME, severities: ['high'], text: 'x' })
	).toEqual({
		project: ACME,
		workflows: [ACME],
		severities: ['high'],
		text: 'x'
	});
});

describe('passes', () => {
	const event = {
		project_id: ACME,
		source: 'worker',
		error_type: 'execution.http',
		severity: 'high',
		workflow_id: null,
		message: 'GET /Orders timed out'
	};
	it.each([
		[{}, true],
		[{ project: ACME }, true],
		[{ project: 'none' }, false],
		[{ types: ['execution'] }, true],
		[{ types: ['execution.http'] }, true],
		[{ types: ['execution.h'] }, false],
		[{ types: ['input'] }, false],
		[{ severities: ['low', 'high'] }, true],
		[{ severities: ['low'] }, false],
		[{ workflow: ACME }, false],
		[{ text: 'orders TIMED' }, true],
		[{ text: 'refused' }, false]
	])('%j: %s', (filters, expected) => {
		expect(passes({ ...noFilters(), ...filters }, event)).toBe(expected);
	});
});
