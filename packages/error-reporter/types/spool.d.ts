/** @import { Severity } from './classify.js' */
/** @import { Sealed } from './event.js' */
/**
 * @typedef {object} Segment
 * @property {string} name
 * @property {Severity} severity
 * @property {number} bytes
 * @property {number} events not yet delivered; 1 for a file of an earlier process until it is read
 * @property {boolean} counted whether `events` is exact
 * @property {boolean} open whether it may still be appended to
 * @property {number} done how many of its first events are dealt with
 * @property {number} parked above 0 where it could not be delivered for a reason of its own: all others
 *   go first, then that which has waited longest
 */
/** Keeps events on disk, bounded, while the server cannot be reached. */
export class Spool {
    /**
     * @param {string} base
     * @param {{ maxBytes: number, segmentBytes: number, now: () => number }} limits
     */
    constructor(base: string, { maxBytes, segmentBytes, now }: {
        maxBytes: number;
        segmentBytes: number;
        now: () => number;
    });
    get events(): number;
    get bytes(): number;
    /** Says that the folder is in use: one that nobody touches is taken over. */
    touch(): void;
    /** Says that the folder is in use, and takes over what processes that are gone have left. */
    adopt(): void;
    /**
     * @param {Sealed[]} events
     * @returns {Promise<Record<Severity, number>>} how many had to go to keep within the bound
     */
    append(events: Sealed[]): Promise<Record<Severity, number>>;
    /** The same without waiting, for a process that is about to end. @param {Sealed[]} events */
    appendNow(events: Sealed[]): {
        low: number;
        medium: number;
        high: number;
    };
    /**
     * The worst first, and the oldest of those.
     * @param {number} maxItems
     * @param {number} maxBytes
     * @returns {Promise<Sealed[]>} empty only where nothing is kept
     * @throws where there are segments, and none of them can be read now; they are kept
     */
    peek(maxItems: number, maxBytes: number): Promise<Sealed[]>;
    /** @param {number} count how many of those that peek returned are dealt with */
    done(count: number): Promise<void>;
    /**
     * What peek returned may be at fault: everything else goes first from now on.
     * @returns {boolean} whether there is anything else
     */
    park(): boolean;
    /** Leaves nothing behind where nothing is kept; what another process left and could not be taken over yet is kept. */
    removeIfEmpty(): void;
    #private;
}
export type Segment = {
    name: string;
    severity: Severity;
    bytes: number;
    /**
     * not yet delivered; 1 for a file of an earlier process until it is read
     */
    events: number;
    /**
     * whether `events` is exact
     */
    counted: boolean;
    /**
     * whether it may still be appended to
     */
    open: boolean;
    /**
     * how many of its first events are dealt with
     */
    done: number;
    /**
     * above 0 where it could not be delivered for a reason of its own: all others
     * go first, then that which has waited longest
     */
    parked: number;
};
import type { Sealed } from './event.js';
import type { Severity } from './classify.js';
