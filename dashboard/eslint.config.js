import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import svelteConfig from './svelte.config.js';

export default [
	{ ignores: ['build/', '.svelte-kit/', 'node_modules/', 'screenshots/'] },
	js.configs.recommended,
	...svelte.configs['flat/recommended'],
	prettier,
	...svelte.configs['flat/prettier'],
	{
		languageOptions: { globals: { ...globals.browser, ...globals.node } }
	},
	{
		files: ['**/*.svelte', '**/*.svelte.js'],
		languageOptions: { parserOptions: { svelteConfig } },
		rules: {
			// Error text is untrusted; nothing may render it as markup.
			'svelte/no-at-html-tags': 'error'
		}
	},
	{
		rules: {
			// `resolve()` is for apps with a base path, which MeshHook does not have.
			'svelte/no-navigation-without-resolve': 'off',
			// Maps and parameters that nothing draws from need no signals.
			'svelte/prefer-svelte-reactivity': 'off',
			// A probe element tells what a theme variable resolves to.
			'svelte/no-dom-manipulating': 'off'
		}
	}
];
