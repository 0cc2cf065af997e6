// How far vectors are from golden ones, and how golden files are read. Shared by the tests of converted models.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Embedder } from '../../lib/embedding/embedder.js'

/** What sentence-transformers made of the texts with one model. */
export interface Golden {
  dimensions: number
  ids: number[][]
  /** Rows of `dimensions` values. */
  vectors: Float32Array
}

export interface Agreement {
  worstCosine: number
  meanCosine: number
  /** Of a component, relative to the golden vector's length, as not every model gives unit vectors. */
  worstElement: number
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
export async function agreementOf(embedder: Embedder, texts: readonly string[], golden: Golden): Promise<Agreement> {
  assert.equal(embedder.dimensions, golden.dimensions)
  const batch = await embedder.embedBatch(texts)
  const agreement = { worstCosine: 1, meanCosine: 0, worstElement: 0 }
  for (const row of texts.keys()) {
    const expected = golden.vectors.subarray(row * golden.dimensions, (row + 1) * golden.dimensions)
    let [dot, squares, goldenSquares, worst] = [0, 0, 0, 0]
    for (const [index, value] of batch.row(row).entries()) {
      const other = expected[index] as number
      dot += value * other
      squares += value * value
      goldenSquares += other * other
      worst = Math.max(worst, Math.abs(value - other))
    }
    const cosine = dot / Math.sqrt(squares * goldenSquares)
    agreement.worstCosine = Math.min(agreement.worstCosine, cosine)
    agreement.meanCosine += cosine / texts.length
    agreement.worstElement = Math.max(agreement.worstElement, worst / Math.sqrt(goldenSquares))
  }
  return agreement
}

/** An agreement in words. */
export function inWords({ worstCosine, meanCosine, worstElement }: Agreement): string {
  return `worst cosine ${worstCosine.toFixed(9)}, mean ${meanCosine.toFixed(9)}, worst element ${worstElement.toExponential(2)}`
}

/** The ids of every text must be the golden ones. */
export function assertSameIds(embedder: Embedder, texts: readonly string[], { ids }: Golden): void {
  for (const [row, text] of texts.entries()) assert.deepEqual([...embedder.tokenize(text).ids], ids[row], `ids of text ${String(row)}`)
}
