// Serialization of vectors to JSON and base64.

import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'

/**
 * A JSON array of numbers that round-trip to the row's float32 values: ten decimals where they are enough, since a float32 printed
 * as a double has half as many digits again without information.
 */
export function toJson(row: Float32Array): string {
  return JSON.stringify(Array.from(row, rounded))
}

function rounded(value: number): number {
  const short = Math.round(value * 1e10) / 1e10
  return Math.fround(short) === value ? short : value
}

/** Little-endian float32 in base64. */
export function toBase64(row: Float32Array): string {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('base64')
}

/** Indices of the truncated texts. */
export function truncatedOf(batch: EmbeddingBatch): number[] {
  return Array.from({ length: batch.rows }, (_, index) => index).filter((index) => batch.truncated(index))
}
