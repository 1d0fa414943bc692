/** What is to be done at the end of each test. @type {WeakMap<import('node:test').TestContext, (() => unknown)[]>} */
const endings = new WeakMap();

/**
 * Does something when a test is over, the last first: `after` of Node does the first first, which would
 * remove a folder before the reporter that writes to it is closed, and that one would make it again.
 * @param {import('node:test').TestContext} t
 * @param {() => unknown} ending
 */
export function finallyDo(t, ending) {
	const listed = endings.get(t) ?? [];
	listed.push(ending);
	if (listed.length > 1) return;
	endings.set(t, listed);
	t.after(async () => {
		for (const ending of listed.toReversed()) await ending();
	});
}
