// Writes what the product is made of as CycloneDX 1.5: target/sbom/meshhook-errors.cdx.json from
// Cargo.lock, for the binary that is deployed, and one file for each npm package from its
// package-lock.json. The same lock files give the same Rust list, byte by byte.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The target and the features of deploy/Dockerfile; more features by SBOM_FEATURES, as in `otel`. */
const TARGET = 'x86_64-unknown-linux-gnu';
const FEATURES = process.env.SBOM_FEATURES ?? '';
/** Folder of each npm package, and whether only what it needs at run time is listed. */
const NPM = { dashboard: 'dashboard', 'error-reporter-js': 'packages/error-reporter' };

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'target', 'sbom');
mkdirSync(folder, { recursive: true });

write('meshhook-errors', rust());
for (const [name, path] of Object.entries(NPM)) {
	const wanted = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only', '--omit', 'dev'];
	write(name, JSON.parse(output('npm', wanted, join(root, path))));
}

/** The crates below the binary. */
function rust() {
	const asked = ['metadata', '--locked', '--format-version', '1', '--filter-platform', TARGET];
	const metadata = JSON.parse(
		output('cargo', [...asked, '--no-default-features', '--features', FEATURES], root)
	);
	const packages = new Map(metadata.packages.map((one) => [one.id, one]));
	const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
	const start = metadata.packages.find((one) => one.name === 'meshhook-errors').id;
	// What is linked in is required; what only builds it is listed, and excluded from the result.
	const [linked, all] = ['normal', 'normal,build'].map(tree);
	const named = (/** @type {any} */ { name, version }) => `${name} v${version}`;
	const built = new Set(
		metadata.packages.filter((one) => all.has(named(one))).map((one) => one.id)
	);
	const sums = checksums();
	const refs = new Map([...built].map((id) => [id, purl(packages.get(id))]));
	const component = (id) => {
		const { name, version, license, description, source } = packages.get(id);
		const sum = sums.get(`${name} ${version}`);
		return {
			type: id === start ? 'application' : 'library',
			'bom-ref': refs.get(id),
			name,
			version,
			...(description ? { description: description.trim() } : {}),
			...(id === start ? {} : { scope: linked.has(named(packages.get(id))) ? 'required' : 'excluded' }),
			...(source && sum ? { hashes: [{ alg: 'SHA-256', content: sum }] } : {}),
			// The old way to write a choice was a slash.
			...(license ? { licenses: [{ expression: license.replaceAll('/', ' OR ') }] } : {}),
			purl: refs.get(id)
		};
	};
	const order = (a, b) => (refs.get(a) < refs.get(b) ? -1 : 1);
	const sorted = [...built].sort(order);
	return {
		$schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
		bomFormat: 'CycloneDX',
		specVersion: '1.5',
		version: 1,
		metadata: { component: component(start) },
		components: sorted.filter((id) => id !== start).map(component),
		dependencies: sorted.map((id) => {
			const below = nodes.get(id).deps.filter((dep) => built.has(dep.pkg));
			const wanted = below.filter((dep) => dep.dep_kinds.some(({ kind }) => kind !== 'dev'));
			return { ref: refs.get(id), dependsOn: wanted.map((dep) => refs.get(dep.pkg)).sort() };
		})
	};
}

/**
 * Crates below the binary by name and version. Unlike its metadata, this tells apart which features
 * the other members of the workspace ask for.
 *
 * @param {string} edges
 */
function tree(edges) {
	const asked = ['tree', '--locked', '-p', 'meshhook-errors', '--target', TARGET, '-e', edges];
	const shown = ['--no-default-features', '--features', FEATURES, '--prefix', 'none', '--no-dedupe'];
	const lines = output('cargo', [...asked, ...shown], root).split('\n');
	return new Set(lines.map((line) => line.split(' ').slice(0, 2).join(' ')));
}

/** SHA-256 of each crate by its name and version, from Cargo.lock. */
function checksums() {
	const blocks = readFileSync(join(root, 'Cargo.lock'), 'utf8').split('[[package]]').slice(1);
	const field = (/** @type {string} */ block, /** @type {string} */ name) =>
		new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1];
	return new Map(
		blocks.map((block) => [
			`${field(block, 'name')} ${field(block, 'version')}`,
			field(block, 'checksum')
		])
	);
}

/** @param {{ name: string, version: string }} crate */
function purl({ name, version }) {
	return `pkg:cargo/${name}@${version.replaceAll('+', '%2B')}`;
}

/** Checks a list and writes it. @param {string} name @param {any} bom */
function write(name, bom) {
	const own = bom.metadata.component['bom-ref'];
	const known = new Set([own, ...bom.components.map((/** @type {any} */ one) => one['bom-ref'])]);
	for (const one of bom.components) {
		if (!one.version || !one.purl) fail(`${name}: ${one.name} has no version or no purl`);
		if (!one.licenses?.length) fail(`${name}: ${one.name} ${one.version} names no licence`);
	}
	for (const { ref, dependsOn = [] } of bom.dependencies) {
		for (const one of [ref, ...dependsOn]) {
			if (!known.has(one)) fail(`${name}: ${one} is needed and not listed`);
		}
	}
	writeFileSync(join(folder, `${name}.cdx.json`), `${JSON.stringify(bom, null, 2)}\n`);
	console.log(`target/sbom/${name}.cdx.json: ${bom.components.length} components`);
}

/** @param {string} command @param {string[]} args @param {string} cwd */
function output(command, args, cwd) {
	const run = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
	if (run.status !== 0) fail(`${command} ${args[0]}: ${run.error ?? run.stderr}`);
	return run.stdout;
}

/** @param {string} why @returns {never} */
function fail(why) {
	console.error(`sbom: ${why}`);
	process.exit(1);
}
