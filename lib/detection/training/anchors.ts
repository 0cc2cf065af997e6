// Owns the anchors of explanations: centers of safe and of unsafe replies.

import type { Anchor } from '../erosion/artifact.js'
import type { EmbeddedExchange } from './exchanges.js'
import { dot, norm } from '../../statistics/vectors.js'
import { Random } from '../../statistics/random.js'

/** Centers of each side. */
const CENTERS = 16
const ROUNDS = 30
const SEED = 11

/**
 * Weighted spherical k-means of the replies of each side; the centers are untitled.
 *
 * @param weights - one weight per exchange, as in the fit
 */
export function findAnchors(exchanges: readonly EmbeddedExchange[], weights: ArrayLike<number>): Anchor[] {
  return (['safe', 'unsafe'] as const).flatMap((side) => {
    const members = exchanges
      .map(({ replyVector, label }, index) => ({ vector: replyVector, label, weight: weights[index] as number }))
      .filter(({ label, weight, vector }) => label === side && weight > 0 && norm(vector) > 0)
    return centersOf(members).map((vector) => ({ side, tag: 'untitled', vector }))
  })
}

interface Weighted {
  vector: ArrayLike<number>
  weight: number
}

function centersOf(members: readonly Weighted[]): Float32Array[] {
  const random = new Random(SEED)
  const [first] = members
  if (first === undefined) return []
  const centers: Float64Array[] = [unit(random.pick(members).vector)]
  // Further seeds are drawn by weight and distance from the seeds before (k-means++).
  while (centers.length < Math.min(CENTERS, members.length)) {
    const chances = members.map(({ vector, weight }) => weight * Math.max(0, 1 - Math.max(...centers.map((center) => dot(center, vector)))))
    let left = random.next() * chances.reduce((sum, chance) => sum + chance, 0)
    const drawn = chances.findIndex((chance) => (left -= chance) < 0)
    centers.push(unit(members[drawn < 0 ? members.length - 1 : drawn]!.vector))
  }
  for (let round = 0; round < ROUNDS; round++) {
    const sums = centers.map((center) => new Float64Array(center.length))
    for (const { vector, weight } of members) {
      const sum = sums[nearest(centers, vector)]!
      for (let i = 0; i < sum.length; i++) sum[i]! += weight * (vector[i] as number)
    }
    for (const [index, sum] of sums.entries()) if (norm(sum) > 0) centers[index] = unit(sum)
  }
  return centers.map((center) => Float32Array.from(center))
}

function nearest(centers: readonly Float64Array[], vector: ArrayLike<number>): number {
  let [best, at] = [-Infinity, 0]
  for (const [index, center] of centers.entries()) {
    const cosine = dot(center, vector)
    if (cosine > best) [best, at] = [cosine, index]
  }
  return at
}

/** A vector of length 1. */
export function unit(vector: ArrayLike<number>): Float64Array {
  const length = norm(vector)
  return Float64Array.from(vector, (value) => value / length)
}
