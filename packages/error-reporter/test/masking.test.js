import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskDocument, maskText, RULES } from '../src/masking.js';
import { vectors } from './support/until.js';

const PIECES = [
	'a', 'b.c', '@', '://', ':', '/', 'https', 'user', 'example.com', ' ', '"', "'", '\\', '\n', '.', '-', '_', '%40',
	'eyJ', 'eyJhbGciOi', 'secret', 'secret_key=', 'password', 'pass', 'passwd:', '=', 'token=', '1', '8080', 'é', 'İ', '|'
];

/** A small generator of pseudo-random numbers, so that a failure can be repeated. @param {number} seed */
function randomOf(seed) {
	return () => {
		seed = (seed * 1664525 + 1013904223) % 4294967296;
		return seed / 4294967296;
	};
}

test('what is applied in linear time changes the same as the plain pattern', () => {
	const random = randomOf(7);
	for (let i = 0; i < 20_000; i++) {
		const length = 1 + Math.floor(random() * 14);
		const text = Array.from({ length }, () => PIECES[Math.floor(random() * PIECES.length)]).join('');
		for (const { apply, plainly } of RULES) assert.equal(apply(text), plainly(text), JSON.stringify(text));
	}
});

test('hostile text does not stop the event loop', () => {
	const hostile = {
		address: 'a.'.repeat(4000) + '@',
		scheme: 'a.'.repeat(4000) + '://x@',
		url: 'a://b:'.repeat(1300) + ' @',
		jwt: 'eyJ'.repeat(2700),
		secret: 'secret'.repeat(1300),
		password: 'password'.repeat(1000),
		begin: '-----BEGIN A-----'.repeat(480),
		card: '4 '.repeat(4000),
		quotes: 'token="'.repeat(1100),
		blanks: 'token' + ' '.repeat(8000)
	};
	for (const [name, text] of Object.entries(hostile)) {
		const start = performance.now();
		maskText(text);
		// The quadratic way takes longer than this by far, a slow machine does not.
		assert.ok(performance.now() - start < 250, name);
	}
});

test('planted secrets survive nowhere', () => {
	const random = randomOf(11);
	const secrets = [
		'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl',
		'sb_secret_0123456789abcdef',
		'AKIAIOSFODNN7EXAMPLE',
		'ghp_0123456789abcdefghijABCDEFGHIJ012345',
		'xoxb-123456789012-abcdefghijkl',
		'sk_live_0123456789abcdef',
		'4111 1111 1111 1111',
		'jane.doe@example.com',
		'-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----'
	];
	const wrap = [
		(/** @type {any} */ v) => ({ note: v }),
		(/** @type {any} */ v) => [1, v, null],
		(/** @type {any} */ v) => ({ deep: { er: [v] } }),
		(/** @type {any} */ v) => JSON.stringify({ inner: v }),
		(/** @type {any} */ v) => (typeof v === 'string' ? `before ${v} after` : v),
		(/** @type {any} */ v) => (typeof v === 'string' ? { [v]: 1 } : v)
	];
	for (let i = 0; i < 3000; i++) {
		const secret = secrets[Math.floor(random() * secrets.length)];
		/** @type {any} */
		let document = secret;
		for (let depth = 0; depth < 1 + random() * 4; depth++) {
			document = wrap[Math.floor(random() * wrap.length)](document);
		}
		const masked = JSON.stringify(maskDocument(document));
		for (const part of secret.split(/\s+|-----[A-Z ]+-----/).filter((word) => word.length > 5)) {
			assert.ok(!masked.includes(part), `${part} in ${masked}`);
		}
	}
});

test('what is masked, and what is not, as the shared vectors say', () => {
	const { documents, texts } = vectors('masking');
	assert.ok(documents.length + texts.length >= 150);
	for (const { name, input, expected } of documents) assert.deepEqual(maskDocument(input), expected, name);
	for (const { text, expected } of texts) assert.equal(maskText(text), expected, text);
});
