// Owns the agreement of vectors with reference vectors.

/** Agreement of several vectors with their references. */
export interface VectorAgreement {
  worstCosine: number
  meanCosine: number
  /** Largest difference of one component, relative to its reference's length, as not every model gives unit vectors. */
  worstElement: number
}

/** Compares vectors with references of the same number, at least one, and the same dimensions. */
export function agreementOf(vectors: readonly Float32Array[], references: readonly (Float32Array | Float64Array)[]): VectorAgreement {
  let [worstCosine, cosines, worstElement] = [1, 0, 0]
  for (const [index, vector] of vectors.entries()) {
    const reference = references[index] as Float32Array | Float64Array
    let [dot, squares, referenceSquares, worst] = [0, 0, 0, 0]
    for (const [at, value] of vector.entries()) {
      const other = reference[at] as number
      dot += value * other
      squares += value * value
      referenceSquares += other * other
      worst = Math.max(worst, Math.abs(value - other))
    }
    const cosine = dot / Math.sqrt(squares * referenceSquares)
    // Written so that a vector that is not finite is the worst one.
    worstCosine = cosine >= worstCosine ? worstCosine : cosine
    cosines += cosine
    worstElement = Math.max(worstElement, worst / Math.sqrt(referenceSquares))
  }
  return { worstCosine, meanCosine: cosines / vectors.length, worstElement }
}
