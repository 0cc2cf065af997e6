// Kinds of typed arrays, also of another realm (node:vm, Jest, Vitest's vm pools), where `instanceof` fails. Depends on no other module.

function isKind(kind: string, value: unknown): boolean {
  // The tag of a view is read from the object itself, whatever realm it is of, and of nothing but views it could be a caller's own.
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === `[object ${kind}]`
}

export function isFloat32Array(value: unknown): value is Float32Array {
  return isKind('Float32Array', value)
}

export function isFloat64Array(value: unknown): value is Float64Array {
  return isKind('Float64Array', value)
}

/** A `Buffer` too. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return isKind('Uint8Array', value)
}
