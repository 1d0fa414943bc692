// What each role may do. The database decides; this only hides what it would refuse.

/** @typedef {'viewer' | 'responder' | 'admin'} Role */
/** @typedef {'read' | 'acknowledge' | 'silence' | 'resolve-group' | 'edit-rules' | 'edit-channels' | 'edit-access'} Deed */

/** @type {Record<string, number>} */
const RANK = { viewer: 1, responder: 2, admin: 3 };

/** @type {Record<Deed, Role>} */
const NEEDED = {
	read: 'viewer',
	acknowledge: 'responder',
	silence: 'responder',
	'resolve-group': 'responder',
	'edit-rules': 'admin',
	'edit-channels': 'admin',
	'edit-access': 'admin'
};

/**
 * The caller's roles.
 * @typedef {object} Roles
 * @property {Role | null} global Over everything, so also over what belongs to no project.
 * @property {Record<string, Role>} projects By project id.
 */

/**
 * The role in a project; null asks for what belongs to no project.
 * @param {Roles} roles
 * @param {string | null} project
 * @returns {Role | null}
 */
export function roleIn(roles, project) {
	const own = project === null ? null : (roles.projects[project] ?? null);
	return rank(own) >= rank(roles.global) ? own : roles.global;
}

/**
 * Whether the caller may do something in a project.
 * @param {Roles} roles
 * @param {Deed} deed
 * @param {string | null} project
 */
export function may(roles, deed, project) {
	return rank(roleIn(roles, project)) >= RANK[NEEDED[deed]];
}

/**
 * Whether the caller may do something anywhere.
 * @param {Roles} roles
 * @param {Deed} deed
 */
export function mayAnywhere(roles, deed) {
	return may(roles, deed, null) || Object.keys(roles.projects).some((id) => may(roles, deed, id));
}

/** @param {Role | null} role */
function rank(role) {
	return role ? RANK[role] : 0;
}
