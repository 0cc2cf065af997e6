// Owns the buckets of relative attention biases, as in T5 and MPNet. Pure functions.

/** Larger distances share the last bucket of their side. */
const FARTHEST = 128

/**
 * The bucket of every distance key − query, from −(longest − 1) to longest − 1.
 *
 * Half of the buckets are for keys after the query. Of each half, the first half holds one distance a bucket and the second
 * half ranges that grow by a constant factor (Raffel et al. 2020, section 2.1). Rounded to float32 at each step, as the
 * reference computes: at powers of two the last digit decides.
 */
export function relativeBuckets(longest: number, buckets: number): Int32Array {
  const half = Math.floor(buckets / 2)
  const exact = Math.floor(half / 2)
  const scale = Math.fround(Math.log(FARTHEST / exact))
  const bucketOf = (distance: number): number => {
    const steps = Math.abs(distance)
    if (steps < exact) return steps
    const ratio = Math.fround(Math.fround(Math.log(Math.fround(steps / exact))) / scale)
    return Math.min(half - 1, exact + Math.trunc(Math.fround(ratio * (half - exact))))
  }
  return Int32Array.from({ length: 2 * longest - 1 }, (_, row) => {
    const distance = row - longest + 1
    return bucketOf(distance) + (distance > 0 ? half : 0)
  })
}
