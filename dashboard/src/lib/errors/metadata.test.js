import { expect, it } from 'vitest';
import { pieces, toTree } from './metadata.js';

it('makes a tree of any JSON', () => {
	const tree = toTree({ a: [1, null], b: 'x', c: true, d: {} });
	expect(tree.text).toBe('{4}');
	expect(tree.children.map(({ key, kind, text }) => [key, kind, text])).toEqual([
		['a', 'array', '[2]'],
		['b', 'string', 'x'],
		['c', 'boolean', 'true'],
		['d', 'object', '{0}']
	]);
});

it('stays bounded', () => {
	const wide = toTree(Array.from({ length: 1000 }, (_, i) => i));
	expect(wide.children).toHaveLength(200);
	expect(wide.left).toBe(800);
	/** @type {any} */
	let deep = 'bottom';
	for (let i = 0; i < 50; i++) deep = { deep };
	expect(JSON.stringify(toTree(deep))).not.toContain('bottom');
});

it('marks what is masked', () => {
	expect(pieces('Bearer [masked] of [masked]')).toEqual([
		{ text: 'Bearer ', masked: false },
		{ text: '[masked]', masked: true },
		{ text: ' of ', masked: false },
		{ text: '[masked]', masked: true }
	]);
});
