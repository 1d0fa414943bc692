import { hostname } from 'node:os';
import { classifyFacts, severityOf } from './classify.js';
import { describe, bounded, peek } from './describe.js';
import { isUuid, uuidv7 } from './ids.js';
import { isSensitiveKey, maskDocument, maskText, storable } from './masking.js';
import { snapshot } from './snapshot.js';

/** @import { Circumstances, ErrorFacts, Severity } from './classify.js' */
/** @typedef {'worker' | 'webhook' | 'system'} Source */

/**
 * What the caller may say of an error. Whatever is missing comes from the reporter's options or the
 * classification.
 * @typedef {object} CaptureFields
 * @property {Source} [source] the kind of component that failed
 * @property {string | null} [workflowId] the workflow version, a UUID
 * @property {string | null} [projectId] the project, a UUID
 * @property {Severity} [severity] overrides the classification
 * @property {string} [errorType] overrides the classification; `system`, `execution` or `input`, with details behind dots
 * @property {string} [message] overrides the error's own
 * @property {Record<string, unknown>} [metadata] whatever helps to understand the error
 * @property {Date | number} [timestamp] when it happened; now, where it is missing
 */

/** @typedef {CaptureFields & Circumstances} CaptureOptions */

/**
 * A captured error, not yet masked.
 * @typedef {object} Captured
 * @property {string} id
 * @property {Severity} severity
 * @property {number} size about how many bytes it keeps in memory
 * @property {number} count how many equal errors it stands for
 * @property {boolean} sealed whether it is on its way, so that it can no longer stand for more
 * @property {string} key equal for equal errors
 * @property {number} at milliseconds since 1970
 * @property {Source} source
 * @property {string} errorType
 * @property {string | null} workflowId
 * @property {string | null} projectId
 * @property {ErrorFacts} facts
 * @property {string} message
 * @property {Record<string, any>} metadata
 * @property {unknown} error until its stack is read, which costs more than a caller should wait for
 * @property {string} stack
 */

/** @typedef {{ id: string, severity: Severity, line: string }} Sealed */

const SOURCES = ['worker', 'webhook', 'system'];
const SEVERITIES = ['low', 'medium', 'high'];
const ERROR_TYPE = /^(system|execution|input)(\.[a-z0-9_-]+)*$/;
const MAX_MESSAGE = 2000;
const MAX_METADATA_BYTES = 32_768;
/** About how long a stack is without the message; it is not known yet when an event is captured. */
const STACK_CHARACTERS = 800;
const HOST = hostname();

/**
 * Runs while the caller waits: it only reads, classifies and copies.
 * @param {unknown} error
 * @param {CaptureOptions} options
 * @param {{ source: Source, projectId: string | null, workflowId: string | null, context: Record<string, unknown> }} defaults
 * @param {number} now milliseconds since 1970
 * @returns {Captured}
 */
export function toCaptured(error, options, defaults, now) {
	const facts = describe(error);
	const notes = /** @type {Record<string, unknown>} */ ({});
	const source = wordOf(options.source, SOURCES, defaults.source, 'invalid_source', notes);
	const direction = options.direction ?? (source === 'webhook' ? 'inbound' : 'outbound');
	const classified = classifyFacts(facts, { ...circumstancesOf(options), direction });
	let errorType = classified.errorType;
	if (options.errorType !== undefined) {
		if (ERROR_TYPE.test(options.errorType) && options.errorType.length <= 128) {
			errorType = options.errorType;
		} else notes.invalid_error_type = String(options.errorType).slice(0, 200);
	}
	const judged = options.errorType === undefined ? classified.severity : severityOf(errorType, options);
	const severity = wordOf(options.severity, SEVERITIES, judged, 'invalid_severity', notes);
	const { copy, characters } = snapshot({ ...defaults.context, ...options.metadata });
	if (options.attempt !== undefined) copy.attempt ??= options.attempt;
	if (options.maxAttempts !== undefined) copy.max_attempts ??= options.maxAttempts;
	const workflowId = idOf(options.workflowId ?? defaults.workflowId, 'unknown_workflow_id', notes);
	const projectId = idOf(options.projectId ?? defaults.projectId, 'unknown_project_id', notes);
	for (const _ in notes) {
		copy._tracker = { ...copy._tracker, ...notes };
		break;
	}
	const given = options.message;
	const message = typeof given === 'string' && given !== '' ? bounded(given) : facts.message;
	const at = timeOf(options.timestamp, now);
	return {
		id: uuidv7(now),
		severity: /** @type {Severity} */ (severity),
		size: 400 + characters + 3 * message.length + STACK_CHARACTERS + sizeOf(facts),
		count: 1,
		sealed: false,
		key: `${source}\n${errorType}\n${severity}\n${workflowId}\n${projectId}\n${message}`,
		at,
		source: /** @type {Source} */ (source),
		errorType,
		workflowId,
		projectId,
		facts,
		message,
		metadata: copy,
		error,
		stack: ''
	};
}

/**
 * Lets go of the error, which may hold on to requests, answers and buffers, and keeps its stack.
 * @param {Captured} event
 */
export function detach(event) {
	if (event.error === undefined) return;
	const stack = peek(event.error, 'stack');
	event.error = undefined;
	if (typeof stack === 'string') event.stack = bounded(stack);
}

/** About how many bytes they keep in memory, the causes included. @param {ErrorFacts} facts @returns {number} */
function sizeOf({ name, message, code = '', causes = [] }) {
	return causes.reduce((sum, cause) => sum + sizeOf(cause), 50 + name.length + message.length + code.length);
}

/** @param {CaptureOptions} options @returns {Circumstances} */
function circumstancesOf({ attempt, maxAttempts, final }) {
	return { attempt, maxAttempts, final };
}

/** @param {unknown} word @param {string[]} words @param {string} otherwise @param {string} note @param {Record<string, unknown>} notes */
function wordOf(word, words, otherwise, note, notes) {
	if (word === undefined || word === null) return otherwise;
	if (typeof word === 'string' && words.includes(word)) return word;
	notes[note] = String(word).slice(0, 200);
	return otherwise;
}

/** An id that is none would cost the whole event; it stays in the metadata instead. */
/** @param {unknown} id @param {string} note @param {Record<string, unknown>} notes */
function idOf(id, note, notes) {
	if (id === undefined || id === null || id === '') return null;
	if (isUuid(id)) return id;
	notes[note] = String(id).slice(0, 200);
	return null;
}

/** @param {unknown} timestamp @param {number} now */
function timeOf(timestamp, now) {
	const at = timestamp instanceof Date ? timestamp.getTime() : timestamp;
	// What a Date can hold is more than what Postgres and common sense call a time.
	return typeof at === 'number' && at > 0 && at < 4102444800000 ? at : now;
}

/**
 * Runs in the background: masks, bounds and writes the row as it is sent and spooled.
 * @param {Captured} event
 * @returns {Sealed}
 */
export function seal(event) {
	event.sealed = true;
	detach(event);
	const { facts } = event;
	const metadata = { ...event.metadata };
	if (event.count > 1) metadata.count = event.count;
	metadata.exception ??= exceptionOf(facts, event.stack);
	metadata.process ??= { host: HOST, pid: process.pid };
	const row = {
		error_id: event.id,
		timestamp: new Date(event.at).toISOString(),
		source: event.source,
		error_type: event.errorType,
		severity: event.severity,
		workflow_id: event.workflowId,
		project_id: event.projectId,
		message: maskText(storable(event.message)).slice(0, MAX_MESSAGE).toWellFormed(),
		metadata: bound(maskDocument(metadata))
	};
	return { id: event.id, severity: event.severity, line: JSON.stringify(row) };
}

/**
 * What cannot be written as a row, for whatever reason, is still an error that happened.
 * @param {Captured} event
 * @returns {Sealed}
 */
export function safeSeal(event) {
	try {
		return seal(event);
	} catch {
		const metadata = { _tracker: { unreadable: true } };
		const facts = { name: 'Error', message: 'unreadable' };
		return seal({ ...event, metadata, facts, error: undefined, stack: '', message: 'an error that cannot be read' });
	}
}

/** @param {ErrorFacts} facts @param {string} stack */
function exceptionOf(facts, stack) {
	const { name, code, status, causes } = facts;
	return {
		name,
		...(code === undefined ? {} : { code }),
		...(status === undefined ? {} : { status }),
		...(stack === '' ? {} : { stack }),
		...(causes === undefined ? {} : { causes })
	};
}

/**
 * Metadata over 32 KiB as a summary of its first 40 keys, as the database would make it.
 * @param {Record<string, any>} metadata masked
 */
function bound(metadata) {
	const bytes = Buffer.byteLength(JSON.stringify(metadata));
	if (bytes <= MAX_METADATA_BYTES) return metadata;
	const kept = Object.keys(metadata).sort().slice(0, 40);
	const summary = Object.fromEntries(
		kept.map((key) => {
			const field = metadata[key];
			if (isSensitiveKey(key)) return [key.slice(0, 100), field];
			const size = Buffer.byteLength(JSON.stringify(field) ?? '');
			if (size <= 400) return [key.slice(0, 100), field];
			if (typeof field === 'string') return [key.slice(0, 100), `${field.slice(0, 400).toWellFormed()}…`];
			return [key.slice(0, 100), `[cut: ${size} bytes]`];
		})
	);
	return { ...summary, _tracker: { ...metadata._tracker, cut_from_bytes: bytes } };
}
