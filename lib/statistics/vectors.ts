// Owns dot product, norm and cosine, summed in double precision from the first element to the last.

/** The dot product. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** The length of a vector. */
export function norm(vector: ArrayLike<number>): number {
  return Math.sqrt(dot(vector, vector))
}

/** The cosine of the angle between two vectors; NaN if one of them is zero. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}
