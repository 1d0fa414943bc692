/** Sends batches, and finds the one bad event that would keep the others from being stored. */
export class Deliverer {
    /** @param {Pick<Transport, 'send'>} transport */
    constructor(transport: Pick<Transport, "send">);
    /**
     * @param {Sealed[]} batch not empty
     * @returns {Promise<Delivery>}
     */
    deliver(batch: Sealed[]): Promise<Delivery>;
    #private;
}
export type Delivery = {
    delivered: Sealed[];
    /**
     * each alone at fault, never to be sent again
     */
    refused: {
        event: Sealed;
        answer: Answer;
    }[];
    /**
     * to be sent again later
     */
    held: Sealed[];
    /**
     * whether everything is held because it, or the reporter's rights, are
     * suspected: other events may be stored, and would tell which of the two it is
     */
    suspected: boolean;
    /**
     * the last one
     */
    answer: Answer;
};
import type { Sealed } from './event.js';
import type { Transport } from './transport.js';
import type { Answer } from './transport.js';
