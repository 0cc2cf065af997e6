// Owns the number of what the converter writes. Apart from the converter, which is loaded only where something is converted.

/** Written into graphs and manifests; goes up when the same checkpoint would give another graph. */
export const CONVERTER_VERSION = '5'
