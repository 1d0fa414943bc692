import { defineConfig } from 'vitest/config';

// Browser tests: one stack for all files, which run one after the other.
export default defineConfig({
	test: {
		environment: 'node',
		include: ['e2e/**/*.e2e.js'],
		globalSetup: ['e2e/setup.js'],
		fileParallelism: false,
		pool: 'forks',
		testTimeout: 180_000,
		hookTimeout: 240_000,
		expect: { poll: { timeout: 30_000, interval: 100 } },
		teardownTimeout: 30_000,
		// A busy machine may be late once, and says so; what fails twice fails.
		retry: process.env.CI ? 1 : 0
	}
});
