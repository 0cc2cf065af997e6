// Owns the converter's version. Separate from the converter, which is loaded on demand.

/** Written to graphs and manifests; increases when the same checkpoint gives another graph. */
export const CONVERTER_VERSION = '5'
