import { describe, expect, it } from 'vitest';
import { may, mayAnywhere, roleIn } from './roles.js';

/** @typedef {import('./roles.js').Roles} Roles */
const viewer = /** @type {Roles} */ ({ global: null, projects: { acme: 'viewer' } });
const admin = /** @type {Roles} */ ({
	global: null,
	projects: { acme: 'admin', globex: 'viewer' }
});
const everywhere = /** @type {Roles} */ ({ global: 'admin', projects: { acme: 'viewer' } });

describe('roles', () => {
	it.each([
		[viewer, 'read', 'acme', true],
		[viewer, 'acknowledge', 'acme', false],
		[viewer, 'read', 'globex', false],
		[viewer, 'read', null, false],
		[admin, 'edit-rules', 'acme', true],
		[admin, 'edit-rules', 'globex', false],
		[admin, 'edit-rules', null, false],
		[everywhere, 'edit-rules', 'acme', true],
		[everywhere, 'edit-rules', null, true]
	])('%j may %s in %s: %s', (roles, deed, project, expected) => {
		expect(may(roles, /** @type {any} */ (deed), project)).toBe(expected);
	});

	it('knows whether there is any place', () => {
		expect(mayAnywhere(admin, 'edit-rules')).toBe(true);
		expect(mayAnywhere(viewer, 'silence')).toBe(false);
	});

	it('takes the higher of two roles', () => {
		expect(roleIn(everywhere, 'acme')).toBe('admin');
	});
});
