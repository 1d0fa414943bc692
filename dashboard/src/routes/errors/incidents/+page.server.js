import { getSupabase, requireAuth } from '$lib/auth.js';
import { rows } from '$lib/errors/api.js';
import { action, loaded, text } from '$lib/errors/forms.js';
import { readPeople } from '$lib/errors/people.js';
import { parseFilters } from '$lib/errors/filters.js';

const PAGE = 50;
/** The strip needs all incidents of its range; beyond this it says that there are more. */
const STRIP = 1000;
/** In days. @type {Record<string, number>} */
const SPANS = { '24h': 1, '7d': 7, '30d': 30 };
const COLUMNS = '*, alert_rules(metric, window_seconds)';

/** @typedef {import('$lib/errors/incident.js').Incident & { alert_rules: { metric: string, window_seconds: number } | null }} Row */

/** @type {import('./$types').PageServerLoad} */
export async function load(event) {
	requireAuth(event);
	event.depends('errors:incidents');
	const client = getSupabase(event);
	const params = event.url.searchParams;
	const { project } = parseFilters(params);
	const span = ['24h', '7d', '30d'].find((one) => one === params.get('span')) ?? '7d';
	const to = Date.now();
	const range = { span, from: to - SPANS[span] * 86_400_000, to };
	const rule = params.get('rule');
	const before = params.get('before');
	const empty = {
		open: /** @type {Row[]} */ ([]),
		past: /** @type {Row[]} */ ([]),
		strip: /** @type {Row[]} */ ([]),
		people: /** @type {Record<string, string>} */ ({}),
		more: false,
		stripCut: false,
		ruleName: /** @type {string | null} */ (null),
		...range
	};
	return loaded(empty, async () => {
		/** @param {any} query */
		const within = (query) => {
			if (project === 'none') query = query.is('project_id', null);
			else if (project) query = query.eq('project_id', project);
			return rule ? query.eq('rule_id', rule) : query;
		};
		const from = new Date(range.from).toISOString();
		const until = new Date(range.to).toISOString();
		const past = client
			.from('alert_incidents')
			.select(COLUMNS)
			.eq('state', 'resolved')
			.gte('resolved_at', from)
			.lt('started_at', before && !Number.isNaN(Date.parse(before)) ? before : until)
			.order('started_at', { ascending: false })
			.order('incident_id')
			.limit(PAGE + 1);
		const [open, resolved, strip] = await Promise.all([
			rows(
				within(client.from('alert_incidents').select(COLUMNS).neq('state', 'resolved'))
					.order('started_at', { ascending: false })
					.limit(500)
			),
			rows(within(past)),
			rows(
				within(
					client
						.from('alert_incidents')
						.select(
							'incident_id, rule_id, rule_name, state, level, peak_level, started_at, fired_at, resolved_at'
						)
						.lt('started_at', until)
						.or(`resolved_at.is.null,resolved_at.gte.${from}`)
				)
					.order('started_at', { ascending: false })
					.limit(STRIP)
			)
		]);
		const order = (/** @type {Row} */ one) =>
			(one.state === 'firing' ? 0 : 4) +
			(one.acknowledged_at ? 2 : 0) +
			(one.level === 'critical' ? 0 : 1);
		return {
			open: open.sort((/** @type {Row} */ a, /** @type {Row} */ b) => order(a) - order(b)),
			past: resolved.slice(0, PAGE),
			more: resolved.length > PAGE,
			strip,
			stripCut: strip.length === STRIP,
			ruleName: rule ? (strip[0]?.rule_name ?? null) : null,
			people: await readPeople(
				client,
				[...open, ...resolved].map((/** @type {Row} */ one) => one.acknowledged_by)
			)
		};
	});
}

/** @type {import('./$types').Actions} */
export const actions = {
	acknowledge: action(
		async (form, client) => {
			await rows(client.rpc('acknowledge_incident', { incident_id: text(form, 'id') }));
		},
		{ name: 'acknowledge' }
	)
};
