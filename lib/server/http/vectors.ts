// Serialization of vectors to JSON and base64, and their truncation to fewer dimensions.

import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import { GabionError } from '../../errors.js'

/** @throws GabionError `INVALID_ARGUMENT` for more dimensions than the vectors have */
export function rowsOf(batch: EmbeddingBatch, dimensions: number | null | undefined): Float32Array[] {
  if (dimensions !== null && dimensions !== undefined && dimensions > batch.dimensions) {
    throw new GabionError('INVALID_ARGUMENT', `dimensions must be from 1 to ${batch.dimensions}, the model's own, got ${dimensions}`)
  }
  const rows = Array.from({ length: batch.rows }, (_, index) => batch.row(index))
  return dimensions === null || dimensions === undefined || dimensions === batch.dimensions
    ? rows
    : rows.map((row) => shortened(row, dimensions))
}

function shortened(row: Float32Array, dimensions: number): Float32Array {
  const first = row.slice(0, dimensions)
  const norm = Math.hypot(...first)
  return norm === 0 ? first : first.map((value) => value / norm)
}

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
