/**
 * The error type of an error, from the table that both reporters read. What fits nothing is
 * `system.unknown`; nothing is ever refused.
 * @param {ErrorFacts} facts
 * @param {Direction} [direction]
 * @returns {string}
 */
export function errorTypeOf(facts: ErrorFacts, direction?: Direction): string;
/**
 * Severity follows consequence: whose fault it is, and whether the run can still succeed.
 * @param {string} errorType
 * @param {Circumstances} [circumstances]
 * @returns {Severity}
 */
export function severityOf(errorType: string, circumstances?: Circumstances): Severity;
/**
 * @param {ErrorFacts} facts
 * @param {Circumstances} [circumstances]
 * @returns {Classified}
 */
export function classifyFacts(facts: ErrorFacts, circumstances?: Circumstances): Classified;
/**
 * What is known of an error, in the words that both reporters share.
 */
export type ErrorFacts = {
    /**
     * class or constructor name, such as `TypeError`
     */
    name: string;
    message: string;
    /**
     * a Node, undici, PostgREST or driver code, or an SQLSTATE
     */
    code?: string | undefined;
    /**
     * an HTTP status
     */
    status?: number | undefined;
    /**
     * what it was caused by, nearest first
     */
    causes?: ErrorFacts[] | undefined;
};
/**
 * What is known of the circumstances.
 */
export type Circumstances = {
    /**
     * inbound: the failing request came to this
     * component, so a 4xx is its caller's fault; outbound (the default): this component asked
     */
    direction?: "inbound" | "outbound" | undefined;
    /**
     * the attempt that failed, from 1
     */
    attempt?: number | undefined;
    /**
     * how many there are
     */
    maxAttempts?: number | undefined;
    /**
     * true: there will be no other attempt; false: there will
     */
    final?: boolean | undefined;
};
export type Severity = "low" | "medium" | "high";
export type Classified = {
    errorType: string;
    severity: Severity;
};
export type ClassificationTable = {
    about: string;
    types: {
        type: string;
        consequence: string;
        about: string;
    }[];
    consequences: {
        consequence: string;
        severity: string;
        attempts_left: string;
        final: string;
        about: string;
    }[];
    codes: Rule[];
    sqlstates: Rule[];
    statuses: Rule[];
    names: Rule[];
    status_in_message: string[];
    messages: Rule[];
    generic_messages: Rule[];
    generic_names: Rule[];
    fallback: string;
};
export type Rule = {
    type: string;
    direction?: string | undefined;
    message?: string | undefined;
    pattern?: string | undefined;
    codes?: string[] | undefined;
    prefixes?: string[] | undefined;
    names?: string[] | undefined;
    from?: number | undefined;
    to?: number | undefined;
    only_without_status?: boolean | undefined;
};
export type Compiled = Rule & {
    regex?: RegExp;
};
export type Direction = "inbound" | "outbound";
