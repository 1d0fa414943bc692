import { error } from '@sveltejs/kit';
import { getSupabase, requireAuth } from '$lib/auth.js';
import { rpc, toApiError } from '$lib/errors/api.js';
import { CSV_COLUMNS, csvLine } from '$lib/errors/csv.js';
import { parseFilters } from '$lib/errors/filters.js';
import { historyArguments, parseView } from '$lib/errors/history.js';
import { parseRange, resolveRange } from '$lib/errors/range.js';

/** Rows that one query brings, and that one download holds. */
const PAGE = 1000;
const MOST = 100_000;

/**
 * The explorer's rows as CSV, page by page under the user's own token.
 * @type {import('./$types').RequestHandler}
 */
export async function GET(event) {
	requireAuth(event);
	const client = getSupabase(event);
	const { searchParams } = event.url;
	const { from, to } = resolveRange(parseRange(searchParams), Date.now());
	const filters = parseFilters(searchParams);
	const view = { ...parseView(searchParams), before: /** @type {any} */ (null) };

	/** @param {AbortSignal} [signal] */
	const read = (signal) =>
		rpc('error_history', historyArguments({ since: from, until: to, filters, view, size: PAGE }), {
			on: client,
			signal
		});

	/** @type {Map<string, string>} */
	let names;
	/** @type {any[]} */
	let rows;
	try {
		[names, rows] = await Promise.all([readNames(client), read()]);
	} catch (problem) {
		const { message, forbidden } = toApiError(problem);
		error(forbidden ? 403 : 400, message);
	}
	let written = 0;
	const encoder = new TextEncoder();
	const body = new ReadableStream({
		start(controller) {
			controller.enqueue(encoder.encode(csvLine(CSV_COLUMNS)));
		},
		async pull(controller) {
			try {
				const lines = rows.map((/** @type {any} */ row) =>
					csvLine(
						CSV_COLUMNS.map((column) =>
							column === 'project'
								? names.get(row.project_id)
								: column === 'workflow'
									? names.get(row.workflow_id)
									: row[column]
						)
					)
				);
				controller.enqueue(encoder.encode(lines.join('')));
				written += rows.length;
				const last = rows.at(-1);
				if (rows.length < PAGE || written >= MOST) {
					controller.close();
					return;
				}
				view.before = { at: last.timestamp, seq: last.seq };
				rows = await read(event.request.signal);
			} catch (problem) {
				// A broken download must not look like a whole one.
				controller.error(problem);
			}
		}
	});
	const day = new Date(to).toISOString().slice(0, 10);
	return new Response(body, {
		headers: {
			'content-type': 'text/csv; charset=utf-8',
			'content-disposition': `attachment; filename="errors-${day}.csv"`,
			'cache-control': 'no-store'
		}
	});
}

/** @param {import('@supabase/supabase-js').SupabaseClient} client */
async function readNames(client) {
	const { projects, workflows } = await rpc('error_scopes', {}, { on: client });
	/** @type {Map<string, string>} */
	const names = new Map();
	for (const { project_id, name } of projects) names.set(project_id, name);
	for (const { workflow_id, name, version } of workflows)
		names.set(workflow_id, `${name} v${version}`);
	return names;
}
