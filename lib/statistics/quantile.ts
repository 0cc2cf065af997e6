// Owns the definitions of quantile and median for all of gabion. Knows numbers only.

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

/** The median; of an even number of values, the mean of the middle two; NaN for no values. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort()
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}

/** The next double above a finite one. */
export function nextAbove(value: number): number {
  const view = new DataView(new ArrayBuffer(8))
  if (value === 0) return Number.MIN_VALUE
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? 1n : -1n))
  return view.getFloat64(0)
}
