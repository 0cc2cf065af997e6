// Owns order statistics of measured times.

/**
 * The q-quantile (0…1) of values, by linear interpolation between order statistics (Hyndman and Fan's type 7, as NumPy's
 * default). NaN for no values.
 */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return Number.NaN
  const position = (sorted.length - 1) * q
  const below = Math.floor(position)
  const low = sorted[below] ?? Number.NaN
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? Number.NaN
  return low + (high - low) * (position - below)
}

/** Milliseconds for people: three significant digits or so, with the unit. */
export function formatMs(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return '–'
  if (milliseconds < 0.0995) return `${(milliseconds * 1000).toFixed(milliseconds < 0.00995 ? 1 : 0)} µs`
  return `${milliseconds.toFixed(milliseconds < 9.995 ? 2 : milliseconds < 99.95 ? 1 : 0)} ms`
}
