/** @import { Sealed } from './event.js' */
/** @import { Answer, Transport } from './transport.js' */

/**
 * @typedef {object} Delivery
 * @property {Sealed[]} delivered
 * @property {{ event: Sealed, answer: Answer }[]} refused each alone at fault, never to be sent again
 * @property {Sealed[]} held to be sent again later
 * @property {boolean} suspected whether everything is held because it, or the reporter's rights, are
 *   suspected: other events may be stored, and would tell which of the two it is
 * @property {Answer} answer the last one
 */

// A batch in which so many parts in a row are refused is not looked at further: it is not one event.
const MAX_REFUSALS_IN_A_ROW = 16;
// So many internal errors in a row, and one event of the batch is suspected to cause them.
const SUSPICIOUS_FAULTS = 5;
// So many suspects are remembered; beyond, they have to be found again.
const MAX_SUSPECTS = 4096;

/** Sends batches, and finds the one bad event that would keep the others from being stored. */
export class Deliverer {
	#transport;
	#faultsInARow = 0;
	/** Whether this reporter's rights are known to be sound, by something having been stored. */
	#proven = false;
	/** How often something was stored. */
	#stored = 0;
	/** What was refused alone, by id, with `#stored` of then. @type {Map<string, number>} */
	#suspects = new Map();

	/** @param {Pick<Transport, 'send'>} transport */
	constructor(transport) {
		this.#transport = transport;
	}

	/**
	 * @param {Sealed[]} batch not empty
	 * @returns {Promise<Delivery>}
	 */
	async deliver(batch) {
		const answer = await this.#send(batch);
		const known = () => batch.every(({ id }) => this.#suspects.has(id));
		const suspicious =
			answer.verdict === 'suspect' ||
			(answer.status === 500 && (this.#faultsInARow >= SUSPICIOUS_FAULTS || known()));
		const none = { delivered: [], refused: [], held: [], suspected: false, answer };
		if (answer.verdict === 'delivered') return { ...none, delivered: batch };
		if (answer.verdict === 'refused' || suspicious) return this.#isolate(batch, answer, suspicious);
		return { ...none, held: batch };
	}

	/** @param {Sealed[]} batch */
	async #send(batch) {
		const answer = await this.#transport.send(batch.map((event) => event.line));
		if (answer.verdict === 'delivered') {
			this.#proven = true;
			this.#faultsInARow = 0;
			this.#stored++;
			for (const { id } of batch) this.#suspects.delete(id);
		} else if (answer.status === 401) this.#proven = false;
		else if (answer.status === 500) this.#faultsInARow++;
		return answer;
	}

	/**
	 * Halves the batch until what is refused stands alone.
	 * @param {Sealed[]} batch @param {Answer} answer @param {boolean} suspicious
	 * @returns {Promise<Delivery>}
	 */
	async #isolate(batch, answer, suspicious) {
		/** @type {Delivery} */
		const result = { delivered: [], refused: [], held: [], suspected: true, answer };
		/** @type {Sealed[]} */
		const suspects = [];
		let refusals = 0;
		const parts = [batch];
		for (let part = parts.pop(), next = answer; part !== undefined; part = parts.pop()) {
			if (part !== batch) next = await this.#send(part);
			result.answer = next;
			const suspect = next.verdict === 'suspect' || (suspicious && next.status === 500);
			if (next.verdict === 'delivered') {
				result.delivered.push(...part);
				refusals = 0;
			} else if (next.verdict !== 'refused' && !suspect) {
				result.held.push(...part, ...parts.flat());
				result.suspected = false;
				break;
			} else if (part.length > 1) {
				// A rule that the row itself breaks is certain; everything else may be the same for all.
				if (suspect && ++refusals > MAX_REFUSALS_IN_A_ROW) result.held.push(...part);
				else parts.push(...halves(part));
			} else if (suspect) suspects.push(...part);
			else result.refused.push({ event: part[0], answer: next });
		}
		await this.#judge(suspects, batch, answer, result);
		if (result.held.length === 0) result.suspected = false;
		for (const { event } of result.refused) this.#suspects.delete(event.id);
		return result;
	}

	/**
	 * What only seems to be at fault is given up where it is refused once more after others were stored,
	 * so that rights which come back in the middle cost nothing.
	 * @param {Sealed[]} suspects @param {Sealed[]} batch @param {Answer} first to the whole batch
	 * @param {Delivery} result
	 */
	async #judge(suspects, batch, first, result) {
		if (batch.length === 1 && first.verdict === 'suspect' && this.#proven) {
			// Something was stored before; but only once, since rights can also be taken away.
			this.#proven = false;
			for (const event of suspects) result.refused.push({ event, answer: result.answer });
		} else if (result.delivered.length === 0) {
			for (const event of suspects) {
				const storedThen = this.#suspects.get(event.id);
				// Refused alone before, and others were stored since.
				if (storedThen !== undefined && storedThen < this.#stored) {
					result.refused.push({ event, answer: first });
				} else {
					this.#suspect(event.id);
					result.held.push(event);
				}
			}
		} else {
			for (const event of suspects) {
				const answer = await this.#send([event]);
				const again = answer.verdict === first.verdict && answer.status === first.status;
				if (answer.verdict === 'delivered') result.delivered.push(event);
				else if (again || answer.verdict === 'refused') result.refused.push({ event, answer });
				else {
					result.held.push(event);
					result.suspected = false;
				}
			}
		}
	}

	/** @param {string} id */
	#suspect(id) {
		if (this.#suspects.size >= MAX_SUSPECTS) this.#suspects.clear();
		if (!this.#suspects.has(id)) this.#suspects.set(id, this.#stored);
	}
}

/** @param {Sealed[]} batch */
function halves(batch) {
	const middle = batch.length >> 1;
	return [batch.slice(middle), batch.slice(0, middle)];
}
