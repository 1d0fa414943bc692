/**
 * Runs while the caller waits: it only reads, classifies and copies.
 * @param {unknown} error
 * @param {CaptureOptions} options
 * @param {{ source: Source, projectId: string | null, workflowId: string | null, context: Record<string, unknown> }} defaults
 * @param {number} now milliseconds since 1970
 * @returns {Captured}
 */
export function toCaptured(error: unknown, options: CaptureOptions, defaults: {
    source: Source;
    projectId: string | null;
    workflowId: string | null;
    context: Record<string, unknown>;
}, now: number): Captured;
/**
 * Lets go of the error, which may hold on to requests, answers and buffers, and keeps its stack.
 * @param {Captured} event
 */
export function detach(event: Captured): void;
/**
 * Runs in the background: masks, bounds and writes the row as it is sent and spooled.
 * @param {Captured} event
 * @returns {Sealed}
 */
export function seal(event: Captured): Sealed;
/**
 * What cannot be written as a row, for whatever reason, is still an error that happened.
 * @param {Captured} event
 * @returns {Sealed}
 */
export function safeSeal(event: Captured): Sealed;
export type Source = "worker" | "webhook" | "system";
/**
 * What the caller may say of an error. Whatever is missing comes from the reporter's options or the
 * classification.
 */
export type CaptureFields = {
    /**
     * the kind of component that failed
     */
    source?: Source | undefined;
    /**
     * the workflow version, a UUID
     */
    workflowId?: string | null | undefined;
    /**
     * the project, a UUID
     */
    projectId?: string | null | undefined;
    /**
     * overrides the classification
     */
    severity?: Severity | undefined;
    /**
     * overrides the classification; `system`, `execution` or `input`, with details behind dots
     */
    errorType?: string | undefined;
    /**
     * overrides the error's own
     */
    message?: string | undefined;
    /**
     * whatever helps to understand the error
     */
    metadata?: Record<string, unknown> | undefined;
    /**
     * when it happened; now, where it is missing
     */
    timestamp?: number | Date | undefined;
};
export type CaptureOptions = CaptureFields & Circumstances;
/**
 * A captured error, not yet masked.
 */
export type Captured = {
    id: string;
    severity: Severity;
    /**
     * about how many bytes it keeps in memory
     */
    size: number;
    /**
     * how many equal errors it stands for
     */
    count: number;
    /**
     * whether it is on its way, so that it can no longer stand for more
     */
    sealed: boolean;
    /**
     * equal for equal errors
     */
    key: string;
    /**
     * milliseconds since 1970
     */
    at: number;
    source: Source;
    errorType: string;
    workflowId: string | null;
    projectId: string | null;
    facts: ErrorFacts;
    message: string;
    metadata: Record<string, any>;
    /**
     * until its stack is read, which costs more than a caller should wait for
     */
    error: unknown;
    stack: string;
};
export type Sealed = {
    id: string;
    severity: Severity;
    line: string;
};
import type { Severity } from './classify.js';
import type { Circumstances } from './classify.js';
import type { ErrorFacts } from './classify.js';
