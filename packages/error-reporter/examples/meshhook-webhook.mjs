// A webhook route in the shape of MeshHook's `api/hooks/[slug]/+server.js`: it looks the workflow up,
// checks the signature, and starts a run. What goes wrong is reported with source `webhook`, so a
// caller's mistake counts as input of low severity, and a fault of the database as a high one.
import { createHmac, timingSafeEqual } from 'node:crypto';

class SignatureError extends Error {
	name = 'SignatureError';
}

/**
 * @param {object} dependencies
 * @param {import('../src/index.js').Reporter} dependencies.reporter
 * @param {(slug: string) => Promise<{ id: string, project_id: string } | null>} dependencies.findWorkflow
 * @param {(workflow: { id: string, project_id: string }, body: unknown) => Promise<string>} dependencies.createRun
 * @param {string} dependencies.secret
 */
export function webhookRoute({ reporter, findWorkflow, createRun, secret }) {
	return async (/** @type {{ params: { slug: string }, request: Request }} */ { params, request }) => {
		const body = await request.text();
		/** @type {{ id: string, project_id: string } | null} */
		let workflow = null;
		try {
			workflow = await findWorkflow(params.slug);
			if (workflow === null) throw Object.assign(new Error('Webhook not found'), { status: 404 });
			checkSignature(body, request.headers.get('x-signature'), secret);
			return Response.json({ run: await createRun(workflow, JSON.parse(body)) }, { status: 202 });
		} catch (error) {
			// Neither headers nor body: they hold the caller's credentials and data.
			reporter.capture(error, {
				source: 'webhook',
				workflowId: workflow?.id,
				projectId: workflow?.project_id,
				metadata: { slug: params.slug, body_bytes: body.length }
			});
			return Response.json({ error: 'refused' }, { status: statusOf(error) });
		}
	};
}

/** @param {string} body @param {string | null} signature @param {string} secret */
function checkSignature(body, signature, secret) {
	const expected = createHmac('sha256', secret).update(body).digest();
	const given = Buffer.from(signature ?? '', 'hex');
	if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
		throw new SignatureError('Invalid signature');
	}
}

/** @param {any} error */
function statusOf(error) {
	if (error instanceof SignatureError) return 401;
	if (error instanceof SyntaxError) return 400;
	return error?.status ?? 500;
}
