// Owns the content bar: a logistic regression on the words of reply and user (TF-IDF), with no vectors at all.
// A head that does not beat it has learned words.

import type { EmbeddedExchange } from './exchanges.js'
import { fitLogistic, logitsOf, type FeatureRows } from '../fitting/logistic.js'

/** Most frequent words that count. */
const TERMS = 1500
/** Inverse strength of its penalty. */
const C = 1

/** Fits on the words of exchanges. */
export function fitTermModel(
  exchanges: readonly EmbeddedExchange[],
  weights: ArrayLike<number>,
  signal?: AbortSignal,
): (exchanges: readonly EmbeddedExchange[]) => Float64Array {
  const frequency = new Map<string, number>()
  for (const exchange of exchanges) for (const term of new Set(termsOf(exchange))) frequency.set(term, (frequency.get(term) ?? 0) + 1)
  const kept = [...frequency].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, TERMS)
  const columnOf = new Map(kept.map(([term], column) => [term, column]))
  const idf = kept.map(([, count]) => Math.log((1 + exchanges.length) / (1 + count)) + 1)
  const features = (rows: readonly EmbeddedExchange[]): FeatureRows => termRows(rows, columnOf, idf)
  const model = fitLogistic({
    features: features(exchanges),
    targets: exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0)),
    weights,
    c: C,
    ...(signal !== undefined && { signal }),
  })
  return (test) => logitsOf(features(test), model.weights, model.intercept)
}

function termsOf({ user, reply }: EmbeddedExchange): string[] {
  const words = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []
  return [...words(reply), ...words(user).map((word) => `user:${word}`)]
}

function termRows(rows: readonly EmbeddedExchange[], columnOf: ReadonlyMap<string, number>, idf: readonly number[]): FeatureRows {
  const columns = idf.length
  const values = new Float32Array(rows.length * columns)
  for (const [row, exchange] of rows.entries()) {
    const part = values.subarray(row * columns, (row + 1) * columns)
    for (const term of termsOf(exchange)) {
      const column = columnOf.get(term)
      if (column !== undefined) part[column]!++
    }
    let squares = 0
    for (let i = 0; i < columns; i++) {
      if (part[i] === 0) continue
      part[i] = (1 + Math.log(part[i]!)) * idf[i]!
      squares += part[i]! ** 2
    }
    if (squares > 0) for (let i = 0; i < columns; i++) part[i]! /= Math.sqrt(squares)
  }
  return { rows: rows.length, columns, values }
}
