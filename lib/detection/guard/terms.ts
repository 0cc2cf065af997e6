// Owns the guard's linear part: a weight for each word and each pair of words, next to the encoder (Cheng et al. 2016, Wide & Deep Learning
// for Recommender Systems). Knows strings and tables, no model and no files. `lab/guard/terms.py` trains it and computes the same.

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193
/** Spreads similar hashes over the buckets (Knuth's multiplicative hashing). */
const GOLDEN = 0x9e3779b1

/** Words of Latin letters and digits, in lower case. Other scripts have no terms: their linear part is the intercept. */
const WORD = /[a-z0-9]+(?:'[a-z]+)*/g

/** Tables of a linear part. */
export interface TermTables {
  /** There are 2^bucketBits buckets. */
  readonly bucketBits: number
  /** Inverse document frequency of each bucket. */
  readonly idf: Float32Array
  /** Outputs × buckets, row-major. */
  readonly weights: Float32Array
  /** One per output. */
  readonly intercepts: readonly number[]
}

/** Buckets of the words of a text and of its adjacent pairs, words first, repetitions included. */
export function bucketsOf(text: string, bucketBits: number): number[] {
  const lower = text.toLowerCase().replaceAll('\u2019', "'")
  const hashes = Array.from(lower.matchAll(WORD), ({ 0: word }) => hashOf(word))
  const pairs = hashes.slice(1).map((second, index) => Math.imul(hashes[index]!, FNV_PRIME) ^ second)
  return [...hashes, ...pairs].map((hash) => Math.imul(hash, GOLDEN) >>> (32 - bucketBits))
}

/** FNV-1a in 32 bits. */
function hashOf(word: string): number {
  let hash = FNV_OFFSET
  for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), FNV_PRIME)
  return hash
}

/** The linear part of a guard. */
export class TermModel {
  readonly #tables: TermTables

  constructor(tables: TermTables) {
    this.#tables = tables
  }

  /** One number per output: the weights of the text's terms, by TF-IDF with sublinear counts and length 1 (Salton & Buckley 1988). */
  scores(text: string): number[] {
    const { bucketBits, idf, weights, intercepts } = this.#tables
    const counts = new Map<number, number>()
    for (const bucket of bucketsOf(text, bucketBits)) counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
    const sums = intercepts.map(() => 0)
    let squares = 0
    for (const [bucket, count] of counts) {
      const value = (1 + Math.log(count)) * (idf[bucket] as number)
      squares += value * value
      for (let output = 0; output < sums.length; output++) sums[output]! += value * (weights[output * idf.length + bucket] as number)
    }
    return intercepts.map((intercept, output) => intercept + (squares === 0 ? 0 : (sums[output] as number) / Math.sqrt(squares)))
  }
}
