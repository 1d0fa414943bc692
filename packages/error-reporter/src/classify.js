import { classification } from './tables.js';

/**
 * What is known of an error, in the words that both reporters share.
 * @typedef {object} ErrorFacts
 * @property {string} name class or constructor name, such as `TypeError`
 * @property {string} message
 * @property {string} [code] a Node, undici, PostgREST or driver code, or an SQLSTATE
 * @property {number} [status] an HTTP status
 * @property {ErrorFacts[]} [causes] what it was caused by, nearest first
 */

/**
 * What is known of the circumstances.
 * @typedef {object} Circumstances
 * @property {'inbound' | 'outbound'} [direction] inbound: the failing request came to this
 *   component, so a 4xx is its caller's fault; outbound (the default): this component asked
 * @property {number} [attempt] the attempt that failed, from 1
 * @property {number} [maxAttempts] how many there are
 * @property {boolean} [final] true: there will be no other attempt; false: there will
 */

/** @typedef {'low' | 'medium' | 'high'} Severity */
/** @typedef {{ errorType: string, severity: Severity }} Classified */

/**
 * @typedef {object} ClassificationTable
 * @property {string} about
 * @property {{ type: string, consequence: string, about: string }[]} types
 * @property {{ consequence: string, severity: string, attempts_left: string, final: string, about: string }[]} consequences
 * @property {Rule[]} codes
 * @property {Rule[]} sqlstates
 * @property {Rule[]} statuses
 * @property {Rule[]} names
 * @property {string[]} status_in_message
 * @property {Rule[]} messages
 * @property {Rule[]} generic_messages
 * @property {Rule[]} generic_names
 * @property {string} fallback
 */

/**
 * @typedef {object} Rule
 * @property {string} type
 * @property {string} [direction]
 * @property {string} [message]
 * @property {string} [pattern]
 * @property {string[]} [codes]
 * @property {string[]} [prefixes]
 * @property {string[]} [names]
 * @property {number} [from]
 * @property {number} [to]
 * @property {boolean} [only_without_status]
 */

/** @typedef {Rule & { regex?: RegExp }} Compiled */
/** @typedef {'inbound' | 'outbound'} Direction */

// Longer messages are looked at only as far as this: patterns must stay cheap on hostile text.
const MESSAGE_LIMIT = 1000;

/** @param {Rule} rule @returns {Compiled} */
const compile = (rule) => {
	const pattern = rule.message ?? rule.pattern;
	return pattern === undefined ? rule : { ...rule, regex: new RegExp(pattern, 'i') };
};

/** @param {Rule[]} rules @param {'codes' | 'names'} field */
function byWord(rules, field) {
	/** @type {Map<string, Compiled[]>} */
	const words = new Map();
	/** @type {{ prefix: string, rule: Compiled }[]} */
	const prefixes = [];
	for (const rule of rules.map(compile)) {
		for (const word of rule[field] ?? []) {
			if (word.endsWith('*')) prefixes.push({ prefix: word.slice(0, -1), rule });
			else words.set(word, [...(words.get(word) ?? []), rule]);
		}
	}
	return { words, prefixes };
}

const CODES = byWord(classification.codes, 'codes');
const NAMES = byWord(classification.names, 'names');
const GENERIC_NAMES = byWord(classification.generic_names, 'names');
const MESSAGES = classification.messages.map(compile);
const GENERIC_MESSAGES = classification.generic_messages.map(compile);
const STATUS_IN_MESSAGE = classification.status_in_message.map((text) => new RegExp(text, 'i'));
const CONSEQUENCE_OF = new Map(classification.types.map((type) => [type.type, type.consequence]));
const SEVERITIES = new Map(classification.consequences.map((row) => [row.consequence, row]));

/** @param {Compiled} rule @param {ErrorFacts} facts @param {Direction} direction */
function applies(rule, facts, direction) {
	if (rule.direction !== undefined && rule.direction !== direction) return false;
	if (rule.only_without_status && facts.status !== undefined) return false;
	return rule.regex === undefined || rule.regex.test(facts.message.slice(0, MESSAGE_LIMIT));
}

/** @param {ErrorFacts} facts @param {Direction} direction */
function ofCode(facts, direction) {
	const { code } = facts;
	if (!code) return undefined;
	for (const rule of CODES.words.get(code) ?? []) {
		if (applies(rule, facts, direction)) return rule.type;
	}
	for (const { prefix, rule } of CODES.prefixes) {
		if (code.startsWith(prefix) && applies(rule, facts, direction)) return rule.type;
	}
	return /^[0-9A-Z]{5}$/.test(code) && /[0-9]/.test(code) ? ofSqlState(code, direction) : undefined;
}

/** The longest prefix wins; of two that are as long, the one that names the direction. */
/** @param {string} code @param {Direction} direction */
function ofSqlState(code, direction) {
	let best = { length: 0, directed: false, type: /** @type {string | undefined} */ (undefined) };
	for (const rule of classification.sqlstates) {
		const directed = rule.direction !== undefined;
		if (directed && rule.direction !== direction) continue;
		for (const { length } of (rule.prefixes ?? []).filter((prefix) => code.startsWith(prefix))) {
			if (length > best.length || (length === best.length && directed && !best.directed)) {
				best = { length, directed, type: rule.type };
			}
		}
	}
	return best.type;
}

/** @param {number | undefined} status @param {Direction} direction */
function ofStatus(status, direction) {
	if (status === undefined) return undefined;
	return classification.statuses.find(
		(rule) =>
			rule.direction === direction && status >= (rule.from ?? 0) && status <= (rule.to ?? 0)
	)?.type;
}

/** @param {typeof NAMES} names @param {ErrorFacts} facts @param {Direction} direction */
function ofName(names, facts, direction) {
	return names.words.get(facts.name)?.find((rule) => applies(rule, facts, direction))?.type;
}

/** @param {ErrorFacts} facts @param {Direction} direction */
function ofStatusInMessage(facts, direction) {
	const text = facts.message.slice(0, MESSAGE_LIMIT);
	for (const regex of STATUS_IN_MESSAGE) {
		const found = regex.exec(text);
		const type = found ? ofStatus(Number(found[1]), direction) : undefined;
		if (type !== undefined) return type;
	}
	return undefined;
}

/** @param {Compiled[]} messages @param {ErrorFacts} facts @param {Direction} direction */
function ofMessage(messages, facts, direction) {
	return messages.find((rule) => applies(rule, facts, direction))?.type;
}

/** @type {((facts: ErrorFacts, direction: Direction) => string | undefined)[]} */
const TIERS = [
	ofCode,
	(facts, direction) => ofStatus(facts.status, direction),
	(facts, direction) => ofName(NAMES, facts, direction),
	ofStatusInMessage,
	(facts, direction) => ofMessage(MESSAGES, facts, direction),
	(facts, direction) => ofMessage(GENERIC_MESSAGES, facts, direction),
	(facts, direction) => ofName(GENERIC_NAMES, facts, direction)
];

/** @type {Map<string, string>} */
const remembered = new Map();
const MAX_REMEMBERED = 500;

/**
 * The error type of an error, from the table that both reporters read. What fits nothing is
 * `system.unknown`; nothing is ever refused.
 * @param {ErrorFacts} facts
 * @param {Direction} [direction]
 * @returns {string}
 */
export function errorTypeOf(facts, direction = 'outbound') {
	// Errors come in bursts of the same; asking forty patterns again and again is the caller's time.
	const causes = facts.causes?.map((cause) => `${cause.name}\n${cause.code}\n${cause.status}\n${cause.message}`);
	const key = `${direction}\n${facts.name}\n${facts.code}\n${facts.status}\n${facts.message}\n${causes}`;
	let type = remembered.get(key);
	if (type === undefined) {
		type = lookUp(facts, direction);
		if (remembered.size >= MAX_REMEMBERED) remembered.clear();
		if (key.length <= 2000) remembered.set(key, type);
	}
	return type;
}

/** @param {ErrorFacts} facts @param {Direction} direction */
function lookUp(facts, direction) {
	for (const tier of TIERS) {
		const type =
			tier(facts, direction) ??
			facts.causes?.reduce(
				(/** @type {string | undefined} */ found, cause) => found ?? tier(cause, direction),
				undefined
			);
		if (type !== undefined) return type;
	}
	return classification.fallback;
}

/**
 * Severity follows consequence: whose fault it is, and whether the run can still succeed.
 * @param {string} errorType
 * @param {Circumstances} [circumstances]
 * @returns {Severity}
 */
export function severityOf(errorType, circumstances = {}) {
	const { attempt, maxAttempts } = circumstances;
	const counted = typeof attempt === 'number' && typeof maxAttempts === 'number';
	const final = circumstances.final ?? (counted ? attempt >= maxAttempts : undefined);
	const row = SEVERITIES.get(CONSEQUENCE_OF.get(errorType) ?? consequenceOfClass(errorType));
	const word = final === undefined ? row?.severity : final ? row?.final : row?.attempts_left;
	return /** @type {Severity} */ (word ?? 'medium');
}

/** A type that a caller made up is judged by its class. */
/** @param {string} errorType */
function consequenceOfClass(errorType) {
	if (errorType === 'input' || errorType.startsWith('input.')) return 'caller';
	if (errorType === 'system' || errorType.startsWith('system.')) return 'fault';
	return 'step';
}

/**
 * @param {ErrorFacts} facts
 * @param {Circumstances} [circumstances]
 * @returns {Classified}
 */
export function classifyFacts(facts, circumstances = {}) {
	const errorType = errorTypeOf(facts, circumstances.direction);
	return { errorType, severity: severityOf(errorType, circumstances) };
}
