// In an application of one's own this is the content of ../../../hooks.server.js, with the import as
// `@meshhook/error-reporter`.
export { handleError } from '../../hooks.server.js';
