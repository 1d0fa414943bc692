/**
 * @param {string} note
 * @param {RegExp} sticky
 * @param {string} replacement
 * @returns {((text: string) => string) | undefined} nothing for a rule that is not listed
 */
export function anchored(note: string, sticky: RegExp, replacement: string): ((text: string) => string) | undefined;
/**
 * Runs end where the fixed text begins: the match is tried from the run's beginning.
 */
export type Backward = {
    literal: string;
    /**
     * one character before the literal
     */
    run: RegExp;
    /**
     * the first character of a match
     */
    first: RegExp;
    /**
     * whether a match begins where a word begins
     */
    wordStart: boolean;
    /**
     * sticky; what a match stays in behind the literal, which must hold an "@"
     */
    within?: RegExp | undefined;
};
/**
 * Runs begin with the fixed text: where the match fails, so would all that begin in the same run.
 */
export type Forward = {
    literal: string;
    /**
     * sticky
     */
    skip: RegExp;
};
