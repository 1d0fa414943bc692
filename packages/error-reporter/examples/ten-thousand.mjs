// Captures ten thousand errors over some seconds, and says in one line of JSON how that went.
// SUPABASE_URL, ERROR_REPORTER_TOKEN and ERROR_REPORTER_SPOOL say where to.
import { createReporter } from '../src/index.js';

const reporter = createReporter({
	url: process.env.SUPABASE_URL ?? '',
	token: process.env.ERROR_REPORTER_TOKEN,
	spoolDir: process.env.ERROR_REPORTER_SPOOL,
	source: 'worker',
	maxBackoffMs: 1000
});

for (let i = 0; i < 10_000; i++) {
	reporter.capture(new Error(`node event ${i}`), { metadata: { i, filler: 'x'.repeat(500) } });
	if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
}
const result = await reporter.close(60_000);
const maxRss = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ all: result.delivered, ...reporter.stats(), max_rss_mib: maxRss }));
