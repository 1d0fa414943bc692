import { randomFillSync } from 'node:crypto';

// Version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then randomness, so that ids made by
// the reporter are unique without asking anyone and sort by time. They are what makes a repeated
// insert harmless.

const POOL_BYTES = 10 * 256;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * @param {number} now milliseconds since 1970
 * @returns {string} a new UUID, version 7
 */
export function uuidv7(now) {
	if (used + 10 > POOL_BYTES) {
		randomFillSync(pool);
		used = 0;
	}
	const r = pool.subarray(used, used + 10);
	used += 10;
	const time = Math.max(0, Math.floor(now)).toString(16).padStart(12, '0').slice(-12);
	return (
		time.slice(0, 8) +
		'-' +
		time.slice(8) +
		'-' +
		HEX[0x70 | (r[0] & 0x0f)] +
		HEX[r[1]] +
		'-' +
		HEX[0x80 | (r[2] & 0x3f)] +
		HEX[r[3]] +
		'-' +
		HEX[r[4]] +
		HEX[r[5]] +
		HEX[r[6]] +
		HEX[r[7]] +
		HEX[r[8]] +
		HEX[r[9]]
	);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * @param {unknown} value
 * @returns {value is string}
 */
export function isUuid(value) {
	return typeof value === 'string' && UUID.test(value);
}
