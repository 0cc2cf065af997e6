// Vectors as text: lists of numbers and base64, and the first values of a vector at unit length again.

import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import { GabionError } from '../../errors.js'

/** @throws GabionError `INVALID_ARGUMENT` for more values than there are */
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
 * A JSON array of numbers that name the row's float32 values exactly: ten decimals where they are enough, since a float32 written as
 * the double that it is has half as many digits again that say nothing.
 */
export function toJson(row: Float32Array): string {
  return JSON.stringify(Array.from(row, briefly))
}

function briefly(value: number): number {
  const short = Math.round(value * 1e10) / 1e10
  return Math.fround(short) === value ? short : value
}

/** Little-endian float32 in base64. */
export function toBase64(row: Float32Array): string {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('base64')
}

/** Indices of the texts that were cut. */
export function truncatedOf(batch: EmbeddingBatch): number[] {
  return Array.from({ length: batch.rows }, (_, index) => index).filter((index) => batch.truncated(index))
}
