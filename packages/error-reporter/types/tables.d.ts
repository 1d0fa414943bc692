/** @type {import('./classify.js').ClassificationTable} */
export const classification: import("./classify.js").ClassificationTable;
/** @type {import('./masking.js').MaskingTable} */
export const masking: import("./masking.js").MaskingTable;
