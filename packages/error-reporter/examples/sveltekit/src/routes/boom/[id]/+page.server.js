/** A page whose data cannot be loaded. */
export function load() {
	const nothing = /** @type {any} */ (undefined);
	return { name: nothing.id };
}
