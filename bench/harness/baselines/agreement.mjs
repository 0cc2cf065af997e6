// Agreement of vectors between implementations.

/**
 * @param {Float32Array} a rows of `width` values
 * @param {Float32Array} b as many
 * @param {number} width
 * @returns {Float64Array} cosine of each row with its counterpart
 */
export function cosines(a, b, width) {
  return Float64Array.from({ length: a.length / width }, (_, row) => {
    let [dot, ofA, ofB] = [0, 0, 0]
    for (let at = row * width; at < (row + 1) * width; at++) {
      dot += a[at] * b[at]
      ofA += a[at] ** 2
      ofB += b[at] ** 2
    }
    return dot / Math.sqrt(ofA * ofB)
  })
}
