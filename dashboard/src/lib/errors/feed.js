// The live feed's list: merged by id, ordered by number, bounded.

/**
 * @typedef {object} FeedRow One error event without its metadata.
 * @property {string} error_id
 * @property {number} seq
 * @property {string} timestamp
 * @property {string} received_at
 * @property {string} source
 * @property {string} error_type
 * @property {string} severity
 * @property {string} message
 * @property {string} fingerprint
 * @property {string | null} project_id
 * @property {string | null} workflow_id
 */

/** Rows kept; older ones are in the explorer. */
export const KEPT = 120;

/**
 * What is there and what came, the latest number first, each row once.
 * @param {FeedRow[]} rows In order.
 * @param {FeedRow[]} arrived In any order, with repetitions.
 * @param {number} [kept]
 * @returns {{ rows: FeedRow[], added: FeedRow[] }}
 */
export function merge(rows, arrived, kept = KEPT) {
	const known = new Set(rows.map((row) => row.error_id));
	const added = [];
	for (const row of arrived) {
		if (known.has(row.error_id)) continue;
		known.add(row.error_id);
		added.push(row);
	}
	if (added.length === 0) return { rows, added };
	added.sort((a, b) => b.seq - a.seq);
	const merged = [...added, ...rows].sort((a, b) => b.seq - a.seq).slice(0, kept);
	return { rows: merged, added };
}

/**
 * From where to read on. A row with a number below the low-water mark was seen or never comes; above
 * it, one may still be committed late.
 * @param {{ last_seq: number, low_water: number | null }} answer
 * @param {number} before The number from which the last read went on.
 */
export function nextCursor({ last_seq, low_water }, before) {
	return Math.max(before, Math.min(last_seq, low_water ?? last_seq));
}
