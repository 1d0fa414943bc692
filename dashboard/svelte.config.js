import adapter from '@sveltejs/adapter-node';

/** @type {import('@sveltejs/kit').Config} */
const config = {
	compilerOptions: { runes: true },
	kit: {
		adapter: adapter(),
		alias: {
			$components: './src/lib/components',
			$stores: './src/lib/stores',
			$utils: './src/lib/utils'
		}
	},
	vitePlugin: {
		// Libraries decide for themselves whether they use runes.
		dynamicCompileOptions({ filename }) {
			return filename.includes('node_modules') ? { runes: undefined } : undefined;
		}
	}
};

export default config;
