// Owns correlation, ranks and centered kernel alignment of plain arrays of numbers. Knows no vectors or texts.

/** Pearson's correlation; NaN if one side is constant. */
export function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length
  let [meanA, meanB] = [0, 0]
  for (let i = 0; i < n; i++) {
    meanA += a[i]! / n
    meanB += b[i]! / n
  }
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < n; i++) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB]
    ab += x * y
    aa += x * x
    bb += y * y
  }
  return ab / Math.sqrt(aa * bb)
}

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, index) => index).sort((i, j) => values[i]! - values[j]!)
  const result = new Float64Array(values.length)
  for (let first = 0; first < order.length;) {
    let end = first + 1
    while (end < order.length && values[order[end]!] === values[order[first]!]) end++
    for (let at = first; at < end; at++) result[order[at]!] = (first + 1 + end) / 2
    first = end
  }
  return result
}

/** Spearman's rank correlation. */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearson(ranks(a), ranks(b))
}

/** Linear centered kernel alignment of two symmetric kernel matrices of n × n (Kornblith and others 2019): 1 for the same geometry. */
export function centeredKernelAlignment(a: Float64Array, b: Float64Array, n: number): number {
  const [x, y] = [doublyCentered(a, n), doublyCentered(b, n)]
  let [xy, xx, yy] = [0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    xy += x[i]! * y[i]!
    xx += x[i]! * x[i]!
    yy += y[i]! * y[i]!
  }
  return xy / Math.sqrt(xx * yy)
}

function doublyCentered(matrix: Float64Array, n: number): Float64Array {
  const means = new Float64Array(n)
  let mean = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) means[i]! += matrix[i * n + j]! / n
    mean += means[i]! / n
  }
  return matrix.map((value, at) => value - means[Math.floor(at / n)]! - means[at % n]! + mean)
}
