// Performs the copy steps of docs/install-into-meshhook.md on a host without the pages, and builds it.
// So the list of steps is complete, and the drop-in needs nothing of the host but what the page names.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const guide = readFileSync(join(root, '..', 'docs', 'install-into-meshhook.md'), 'utf8');
const host = mkdtempSync(join(tmpdir(), 'meshhook-host-'));

try {
	// The host as it is before: everything but the drop-in, and no navigation line.
	for (const name of ['package.json', 'svelte.config.js', 'vite.config.js', 'static', 'src']) {
		cpSync(join(root, name), join(host, name), {
			recursive: true,
			filter: (path) => !/src\/(routes\/errors|lib\/errors|lib\/components\/errors)/.test(path)
		});
	}
	symlinkSync(join(root, 'node_modules'), join(host, 'node_modules'));
	const header = join(host, 'src/lib/components/Header.svelte');
	const line = /** @type {string} */ (
		guide.match(/^\{ href: '\/errors', label: 'Errors' \}.*$/m)?.[0]
	);
	if (!line) throw new Error('the guide has no navigation line');
	const bare = readFileSync(header, 'utf8').replace(line, '');
	if (bare.includes(line)) throw new Error('the host still has the navigation line');
	writeFileSync(header, bare);

	// The steps, as the guide has them.
	const steps = /** @type {string} */ (guide.match(/```sh copy\n([\s\S]*?)```/)?.[1]);
	if (!steps) throw new Error('the guide has no copy steps');
	run('bash', ['-euc', steps], {
		MESHHOOK: join(host, '..', 'unused'),
		WEB: host,
		ERRORS: join(root, '..')
	});
	writeFileSync(header, bare.replace('navItems = [', `navItems = [${line}`));

	run(join(root, 'node_modules/.bin/vite'), ['build'], {});
	for (const file of [
		'build/index.js',
		'src/routes/errors/+page.svelte',
		'src/lib/errors/api.js'
	]) {
		readFileSync(join(host, file));
	}
	console.log('the copy steps give a host that builds');
} finally {
	rmSync(host, { recursive: true, force: true });
}

/** @param {string} command @param {string[]} args @param {Record<string, string>} env */
function run(command, args, env) {
	const done = spawnSync(command, args, {
		cwd: host,
		encoding: 'utf8',
		env: { ...process.env, ...env }
	});
	if (done.status === 0) return;
	throw new Error(`${command} ${args[0]} failed\n${done.stdout}\n${done.stderr}`);
}
