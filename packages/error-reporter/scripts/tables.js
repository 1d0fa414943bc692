// Writes the tables that both reporters share into a JavaScript module, because a bundler that
// inlines this package (Vite does, for workspace packages) would lose a file read at run time.
// The masking rules come from the database's own migration, which is their source.
import { readFileSync, writeFileSync } from 'node:fs';

const here = (/** @type {string} */ path) => new URL(path, import.meta.url);
const migration = '../../../supabase/migrations/20261122000002_error_masking.sql';

/** @returns {import('../src/masking.js').MaskingTable} */
export function maskingOfMigration() {
	const sql = readFileSync(here(migration), 'utf8');
	const text = `'((?:[^']|'')*)'`;
	const keyRow = new RegExp(`(?:^ {2}|\\), )\\('(key_contains|key_ends|key_is)', ${text}, `, 'gm');
	const valueRow = new RegExp(`^ {2}\\('value', (\\d+), ${text}, ${text}, ${text}, ${text}\\)`, 'gm');
	const rules = [...sql.matchAll(keyRow)].map(([, kind, pattern]) => ({ kind, pattern }));
	const values = [...sql.matchAll(valueRow)].map(([, order, ...texts]) => {
		const [pattern, needles, replacement, note] = texts.map((one) => one.replaceAll("''", "'"));
		return { order: Number(order), pattern, needles: wordsOf(needles), replacement, note };
	});
	const keys = (/** @type {string} */ kind) =>
		rules.filter((rule) => rule.kind === kind).map((rule) => rule.pattern);
	return {
		about:
			"The masking rules of supabase/migrations/20261122000002_error_masking.sql, in Postgres's notation.",
		key_contains: keys('key_contains'),
		key_ends: keys('key_ends'),
		key_is: keys('key_is'),
		values: values
			.sort((a, b) => a.order - b.order || compare(a.note, b.note) || compare(a.pattern, b.pattern))
			.map(({ pattern, needles, replacement, note }) => ({ pattern, needles, replacement, note }))
	};
}

/** The elements of a Postgres array of words. */
/** @param {string} literal */
function wordsOf(literal) {
	const words = [...literal.slice(1, -1).matchAll(/"([^"]*)"|([^,]+)/g)].map((word) => word[1] ?? word[2]);
	// To the database they are parts of a `like`. The reporters look for plain text, and whatever holds
	// all of `://%@` holds its last part.
	return words.map((word) => word.split('%').at(-1) ?? word);
}

/** @param {string} a @param {string} b */
function compare(a, b) {
	return a < b ? -1 : a > b ? 1 : 0;
}

/** One line for each row of a table. */
/** @param {Record<string, unknown>} table */
function literal(table) {
	const fields = Object.entries(table).map(([key, value]) => {
		const rows = Array.isArray(value) ? value.map((row) => `\n\t\t${JSON.stringify(row)}`) : [];
		return `\t${JSON.stringify(key)}: ${Array.isArray(value) ? `[${rows.join(',')}\n\t]` : JSON.stringify(value)}`;
	});
	return `{\n${fields.join(',\n')}\n}`;
}

/** @param {any} table the classification */
function documentation(table) {
	const code = (/** @type {string[]} */ words) => words.map((word) => `\`${word.replaceAll('|', '\\|')}\``).join(' ');
	const only = (/** @type {any} */ rule) =>
		[
			rule.direction ?? '',
			rule.message === undefined ? '' : `message has ${code([rule.message])}`,
			rule.only_without_status ? 'without a status' : ''
		]
			.filter(Boolean)
			.join('; ');
	const rows = (/** @type {any[]} */ rules, /** @type {(rule: any) => string} */ match) =>
		rules.map((rule) => `| ${match(rule)} | ${only(rule)} | \`${rule.type}\` |`);
	const section = (/** @type {string} */ title, /** @type {any[]} */ rules, /** @type {(rule: any) => string} */ match) => [
		'',
		`## ${title}`,
		'',
		'| what | only | type |',
		'|---|---|---|',
		...rows(rules, match)
	];
	return [
		'# How errors are classified',
		'',
		'Made from `packages/error-reporter/data/classification.json` by `npm run tables`; both reporters read that table.',
		'',
		'The kinds of evidence are tried in the order of the sections below, the strongest first: each on the error itself, then on its causes, before the next.',
		'Within a section the first that fits counts; of SQLSTATEs the longest prefix.',
		'*Inbound* means that the failing request came to this component (source `webhook`, SvelteKit hook), so a 4xx is its caller\'s fault; *outbound* means that this component asked.',
		'What fits nothing is `system.unknown`; nothing is ever refused, and the caller can override both type and severity.',
		'',
		'## Severity',
		'',
		'Severity follows consequence.',
		'Attempts count where they are given (`attempt` and `maxAttempts`, or `final`).',
		'',
		'| consequence | severity | with attempts left | final | |',
		'|---|---|---|---|---|',
		...table.consequences.map(
			(/** @type {any} */ row) => `| ${row.consequence} | ${row.severity} | ${row.attempts_left} | ${row.final} | ${row.about} |`
		),
		'',
		'## Types',
		'',
		'| type | consequence | meaning |',
		'|---|---|---|',
		...table.types.map((/** @type {any} */ row) => `| \`${row.type}\` | ${row.consequence} | ${row.about} |`),
		...section('1. Codes', table.codes, (rule) => code(rule.codes)),
		...section('2. SQLSTATEs', table.sqlstates, (rule) => code(rule.prefixes)),
		...section('3. HTTP statuses', table.statuses, (rule) => (rule.from === rule.to ? `${rule.from}` : `${rule.from}–${rule.to}`)),
		...section('4. Names of classes', table.names, (rule) => code(rule.names)),
		'',
		'## 5. HTTP statuses in messages',
		'',
		...table.status_in_message.map((/** @type {string} */ text) => `- ${code([text])}`),
		...section('6. Messages', table.messages, (rule) => code([rule.pattern])),
		...section('7. Messages that only wrap a cause', table.generic_messages, (rule) => code([rule.pattern])),
		...section('8. Names of general classes', table.generic_names, (rule) => code(rule.names)),
		''
	].join('\n');
}

/** @returns {{ masking: string, module: string, documentation: string }} what the generated files should hold */
export function generated() {
	const masking = maskingOfMigration();
	const classification = JSON.parse(readFileSync(here('../data/classification.json'), 'utf8'));
	return {
		masking: JSON.stringify(masking, null, '\t') + '\n',
		documentation: documentation(classification),
		module: [
			'// Generated by scripts/tables.js from data/; change those and run `npm run tables`.',
			'',
			"/** @type {import('./classify.js').ClassificationTable} */",
			`export const classification = ${literal(classification)};`,
			'',
			"/** @type {import('./masking.js').MaskingTable} */",
			`export const masking = ${literal(masking)};`,
			''
		].join('\n')
	};
}

if (process.argv[1] === here('').pathname) {
	const { masking, module, documentation: text } = generated();
	writeFileSync(here('../../../docs/classification.md'), text);
	writeFileSync(here('../data/masking.json'), masking);
	writeFileSync(here('../src/tables.js'), module);
}
