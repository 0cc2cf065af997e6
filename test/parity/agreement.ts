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
  /** Rows of `dimensions` values. */
  vectors: Float32Array
}

export async function readPacked(file: string): Promise<unknown> {
  return JSON.parse(gunzipSync(await readFile(file)).toString('utf8'))
}

/** Reads `golden.json.gz` and `golden.f32` of a folder. */
export async function readGolden(folder: string): Promise<Golden> {
  const { dimensions, ids } = (await readPacked(join(folder, 'golden.json.gz'))) as Omit<Golden, 'vectors'>
  const vectors = new Float32Array(Uint8Array.from(await readFile(join(folder, 'golden.f32'))).buffer)
  assert.equal(vectors.length, ids.length * dimensions)
  return { dimensions, ids, vectors }
}

/** Embeds the texts and compares. */
export async function agreementOf(embedder: Embedder, texts: readonly string[], golden: Golden): Promise<VectorAgreement> {
  const { dimensions } = golden
  assert.equal(embedder.dimensions, dimensions)
  const batch = await embedder.embedBatch(texts)
  const rows = [...texts.keys()]
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
