/** Moves events from the queue to the server, or to the spool while it cannot be reached. */
export class Sender {
    /** @param {SenderOptions} options */
    constructor(options: SenderOptions);
    drops: {
        low: number;
        medium: number;
        high: number;
    };
    stats: {
        delivered: number;
        refused: number;
        dropped: number;
        lost: number;
    };
    get pending(): number;
    /** Something was put into the queue. */
    wake(): void;
    /** @param {Record<Severity, number>} counts */
    addDrops(counts: Record<Severity, number>): void;
    /**
     * @param {number} deadlineMs
     * @returns {Promise<{ delivered: boolean, pending: number }>}
     */
    flush(deadlineMs: number): Promise<{
        delivered: boolean;
        pending: number;
    }>;
    /** What could not be delivered goes to disk at once; without a spool it is lost, and that is said. */
    stop(): void;
    /** Writes everything that is in memory to the spool before this returns. */
    saveNow(): void;
    #private;
}
export type SenderOptions = {
    queue: Queue<Captured>;
    deliverer: Deliverer;
    spool: Spool | undefined;
    batchSize: number;
    batchBytes: number;
    batchDelayMs: number;
    minBackoffMs: number;
    maxBackoffMs: number;
    dropReport: (counts: Record<Severity, number>) => Captured;
    log: (message: string, fields: Record<string, unknown>) => void;
    /**
     * runs work whose own errors are not to be captured
     */
    inside: <T>(work: () => T) => T;
};
import type { Severity } from './classify.js';
import type { Captured } from './event.js';
import type { Queue } from './queue.js';
import type { Deliverer } from './deliver.js';
import type { Spool } from './spool.js';
