// How far vectors are from golden ones, and how golden files are read. Shared by the tests of converted models.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { agreementOf as agreement, type VectorAgreement } from '../../lib/convert/vector-agreement.js'
import type { Embedder } from '../../lib/embedding/embedder.js'

/** What sentence-transformers made of the texts with one model. */
export interface Golden {
  dimensions: number
  ids: number[][]
  /** Every n-th text has a vector. */
  every: number
  /** Rows of `dimensions` values. */
  vectors: Float32Array
}

export async function readPacked(file: string): Promise<unknown> {
  return JSON.parse(gunzipSync(await readFile(file)).toString('utf8'))
}

/** Reads `golden.json.gz` and `golden.f32` of a folder. */
export async function readGolden(folder: string): Promise<Golden> {
  const {
    dimensions,
    ids,
    every = 1,
  } = (await readPacked(join(folder, 'golden.json.gz'))) as Omit<Golden, 'vectors' | 'every'> & Partial<Golden>
  const vectors = new Float32Array(Uint8Array.from(await readFile(join(folder, 'golden.f32'))).buffer)
  assert.equal(vectors.length, Math.ceil(ids.length / every) * dimensions)
  return { dimensions, ids, every, vectors }
}

/** Embeds the texts that have golden vectors and compares. */
export async function agreementOf(embedder: Embedder, texts: readonly string[], golden: Golden): Promise<VectorAgreement> {
  const { dimensions, every } = golden
  assert.equal(embedder.dimensions, dimensions)
  const batch = await embedder.embedBatch(texts.filter((_, row) => row % every === 0))
  const rows = [...Array(batch.rows).keys()]
  return agreement(
    rows.map((row) => batch.row(row)),
    rows.map((row) => golden.vectors.subarray(row * dimensions, (row + 1) * dimensions)),
  )
}

/** An agreement in words. */
export function inWords({ worstCosine, meanCosine, worstElement }: VectorAgreement): string {
  return `worst cosine ${worstCosine.toFixed(9)}, mean ${meanCosine.toFixed(9)}, worst element ${worstElement.toExponential(2)}`
}

/** The ids of every text must be the golden ones. */
export function assertSameIds(embedder: Embedder, texts: readonly string[], { ids }: Golden): void {
  for (const [row, text] of texts.entries()) assert.deepEqual([...embedder.tokenize(text).ids], ids[row], `ids of text ${String(row)}`)
}
