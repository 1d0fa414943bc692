// Installs packages and builds, each only where something changed since. `make dev` and the browser
// tests call it; with the argument `install` it does not build. Prints what takes time; exits with 1
// and the reason on standard error.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'build', '.stamp');

if (!installed()) {
	console.log('dashboard: installing packages, which takes a moment the first time');
	run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
if (process.argv[2] === 'install') process.exit(0);
const now = fingerprint([
	'src',
	'static',
	'svelte.config.js',
	'vite.config.js',
	'package-lock.json'
]);
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== now) {
	console.log('dashboard: building');
	run('npm', ['run', '--silent', 'build']);
	writeFileSync(stamp, now);
}

/** npm writes its own copy of the lock file last, so an older one means an older installation. */
function installed() {
	const copy = join(root, 'node_modules', '.package-lock.json');
	return (
		existsSync(copy) && statSync(copy).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
	);
}

/** @param {string[]} paths */
function fingerprint(paths) {
	const hash = createHash('sha256');
	for (const file of paths.flatMap(list).sort()) {
		if (/\.(test|spec)\.js$/.test(file)) continue;
		hash
			.update(`${file}\0`)
			.update(readFileSync(join(root, file)))
			.update('\0');
	}
	return hash.digest('hex');
}

/** @param {string} path @returns {string[]} */
function list(path) {
	if (!statSync(join(root, path)).isDirectory()) return [path];
	return readdirSync(join(root, path)).flatMap((name) => list(join(path, name)));
}

/** @param {string} command @param {string[]} args */
function run(command, args) {
	const done = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
	if (done.status === 0) return;
	const said = `${done.stdout ?? ''}\n${done.stderr ?? ''}`
		.trim()
		.split('\n')
		.slice(-15)
		.join('\n');
	console.error(`${command} ${args[0]} failed: ${done.error?.message ?? said}`);
	process.exit(1);
}
