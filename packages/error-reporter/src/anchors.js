// Some rules would try a run of characters from each of its characters, in quadratic time, on text
// that an attacker may have written. They are applied here in linear time, from a fixed text that each
// of their matches holds. A rule is known by its note; one that is not listed is applied as it stands.

/**
 * Runs end where the fixed text begins: the match is tried from the run's beginning.
 * @typedef {object} Backward
 * @property {string} literal
 * @property {RegExp} run one character before the literal
 * @property {RegExp} first the first character of a match
 * @property {boolean} wordStart whether a match begins where a word begins
 * @property {RegExp} [within] sticky; what a match stays in behind the literal, which must hold an "@"
 */

/**
 * Runs begin with the fixed text: where the match fails, so would all that begin in the same run.
 * @typedef {object} Forward
 * @property {string} literal
 * @property {RegExp} skip sticky
 */

/** @type {Record<string, Backward>} */
const BACKWARD = {
	'credentials in a URL': {
		literal: '://',
		run: /[a-z0-9+.-]/i,
		first: /[a-z]/i,
		wordStart: true,
		within: /[^\s"']*/y
	},
	'e-mail addresses': {
		literal: '@',
		run: /[^\s@"'<>()[\],;:/\\|=]/,
		first: /[^\s@"'<>()[\],;:/\\|=]/,
		wordStart: false
	}
};
BACKWARD['passwords with a slash in a URL'] = BACKWARD['credentials in a URL'];

/** @type {Record<string, Forward>} */
const FORWARD = {
	'JSON web tokens': { literal: 'eyj', skip: /eyj[a-z0-9_-]*/iy },
	'secret=… in text': { literal: 'secret', skip: /secret[a-z0-9_-]*/iy },
	'password=… in text': { literal: 'pass', skip: /pass(?:word|wd|phrase|code)[a-z0-9_-]*/iy }
};

/**
 * @param {string} note
 * @param {RegExp} sticky
 * @param {string} replacement
 * @returns {((text: string) => string) | undefined} nothing for a rule that is not listed
 */
export function anchored(note, sticky, replacement) {
	if (Object.hasOwn(BACKWARD, note)) {
		const anchor = BACKWARD[note];
		return (text) => replaceBackward(text, anchor, sticky, replacement);
	}
	if (Object.hasOwn(FORWARD, note)) {
		const anchor = FORWARD[note];
		return (text) => replaceForward(text, anchor, sticky, replacement);
	}
	return undefined;
}

/** @param {string} text @param {Backward} anchor @param {RegExp} sticky @param {string} replacement */
function replaceBackward(text, { literal, run, first, wordStart, within }, sticky, replacement) {
	let done = 0;
	let result = '';
	let room = { end: -1, hasAt: true };
	for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, Math.max(at + 1, done))) {
		if (within !== undefined) {
			if (at >= room.end) room = roomAt(text, at, within);
			if (!room.hasAt) continue;
		}
		let start = at;
		while (start > done && run.test(text[start - 1])) start--;
		while (start < at && !(first.test(text[start]) && (!wordStart || isWordStart(text, start)))) start++;
		if (start === at) continue;
		sticky.lastIndex = start;
		const found = sticky.exec(text);
		if (found === null) continue;
		result += text.slice(done, start) + filled(replacement, found);
		done = start + found[0].length;
	}
	return result + text.slice(done);
}

/** @param {string} text @param {number} at @param {RegExp} within */
function roomAt(text, at, within) {
	within.lastIndex = at;
	const space = within.exec(text)?.[0] ?? '';
	return { end: at + space.length, hasAt: space.includes('@') };
}

/** @param {string} text @param {Forward} anchor @param {RegExp} sticky @param {string} replacement */
function replaceForward(text, { literal, skip }, sticky, replacement) {
	// Texts whose lower case is longer would shift the places; they are rare and searched as they are.
	const lowered = text.toLowerCase();
	const lower = lowered.length === text.length ? lowered : asciiLower(text);
	let done = 0;
	let result = '';
	for (let at = lower.indexOf(literal); at >= 0; at = lower.indexOf(literal, at)) {
		sticky.lastIndex = at;
		const found = sticky.exec(text);
		if (found !== null) {
			result += text.slice(done, at) + filled(replacement, found);
			at += found[0].length;
			done = at;
		} else {
			skip.lastIndex = at;
			at += skip.exec(text)?.[0].length ?? 1;
		}
	}
	return result + text.slice(done);
}

/** @param {string} text */
function asciiLower(text) {
	return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** @param {string} text @param {number} index */
function isWordStart(text, index) {
	return index === 0 || !/\w/.test(text[index - 1]);
}

/** @param {string} replacement @param {RegExpExecArray} found */
function filled(replacement, found) {
	return replacement.replace(/\$([1-9$])/g, (_, n) => (n === '$' ? '$' : (found[Number(n)] ?? '')));
}
