// Owns how measured times are told to people.

export { quantile } from '../statistics/quantile.js'

/** Milliseconds for people: three significant digits or so, with the unit. */
export function formatMs(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return '–'
  if (milliseconds < 0.0995) return `${(milliseconds * 1000).toFixed(milliseconds < 0.00995 ? 1 : 0)} µs`
  return `${milliseconds.toFixed(milliseconds < 9.995 ? 2 : milliseconds < 99.95 ? 1 : 0)} ms`
}
