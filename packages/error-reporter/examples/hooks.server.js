// `src/hooks.server.js` of MeshHook's web application, which has no `handleError` today.
import { createReporter, handleErrorWith } from '../src/index.js'; // in MeshHook: '@meshhook/error-reporter'

export const reporter = createReporter({
	enabled: process.env.ERROR_REPORTER_TOKEN !== undefined,
	url: process.env.SUPABASE_URL ?? '',
	apikey: process.env.SUPABASE_ANON_KEY,
	token: process.env.ERROR_REPORTER_TOKEN,
	source: 'system',
	spoolDir: process.env.ERROR_REPORTER_SPOOL,
	context: { service: 'web' }
});

export const handleError = handleErrorWith(reporter, {
	// A missing page is the visitor's business, unless one wants to count them.
	ignore: ({ status }) => status === 404
});

// adapter-node emits this once it has stopped taking requests.
process.once('sveltekit:shutdown', () => reporter.close(3000));
