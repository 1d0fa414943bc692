/**
 * @param {any} value
 * @param {string} field
 * @returns {any}
 */
export function peek(value: any, field: string): any;
/** @param {string} text */
export function bounded(text: string): string;
/**
 * @param {unknown} error whatever was thrown
 * @returns {ErrorFacts}
 */
export function describe(error: unknown): ErrorFacts;
import type { ErrorFacts } from './classify.js';
