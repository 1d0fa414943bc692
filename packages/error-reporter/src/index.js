export { createReporter, Reporter } from './reporter.js';
export { classify } from './classify-error.js';
export { handleErrorWith } from './sveltekit.js';
export { wrapJob } from './jobs.js';
export { captureHttpFailure, expressErrorHandler, HttpStatusError } from './http.js';

/** @typedef {import('./classify.js').Severity} Severity */
/** @typedef {import('./classify.js').Circumstances} Circumstances */
/** @typedef {import('./classify.js').Classified} Classified */
/** @typedef {import('./event.js').CaptureOptions} CaptureOptions */
/** @typedef {import('./event.js').Source} Source */
/** @typedef {import('./options.js').ReporterOptions} ReporterOptions */
/** @typedef {import('./reporter.js').ReporterStats} ReporterStats */
