// The published all-MiniLM-L6-v2 against sentence-transformers: 2,000 real texts, and the rank correlation on the STS benchmark
// (scripts/golden/make_minilm.py). The bundled graph is bf16; the reference models hold fp32.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'csv-parse/sync'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { nativeAddon } from '../../lib/native.js'
import { agreementOf, assertSameIds, inWords, readGolden, readPacked } from './agreement.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const minilm = join(root, 'build', 'minilm')

// Worst and mean cosine, and the largest difference of a component.
const BOUNDS = {
  fp32: { worstCosine: 0.999999, meanCosine: 0.999999, worstElement: 2e-5 },
  bf16: { worstCosine: 0.9999, meanCosine: 0.99998, worstElement: 0.01 },
  int8: { worstCosine: 0.998, meanCosine: 0.9995, worstElement: 0.03 },
} as const

/** Ranks from 1, equal values sharing the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => (values[a] as number) - (values[b] as number))
  const result = new Array<number>(values.length)
  for (let first = 0; first < order.length;) {
    let last = first
    while (last + 1 < order.length && values[order[last + 1] as number] === values[order[first] as number]) last++
    for (let at = first; at <= last; at++) result[order[at] as number] = (first + last) / 2 + 1
    first = last + 1
  }
  return result
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanA, meanB] = [mean(a), mean(b)]
  let [both, squaresA, squaresB] = [0, 0, 0]
  for (const [index, value] of a.entries()) {
    const [x, y] = [value - meanA, (b[index] as number) - meanB]
    both += x * y
    squaresA += x * x
    squaresB += y * y
  }
  return both / Math.sqrt(squaresA * squaresB)
}

describe('the published weights', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-minilm-'))
    await convertModel({
      source: join(root, 'build', 'cache', 'all-MiniLM-L6-v2'),
      out: join(folder, 'model'),
      precisions: ['fp32', 'bf16'],
    })
  })
  after(() => rm(folder, { recursive: true }))

  const load = (precision: 'fp32' | 'bf16' | 'int8'): Promise<Embedder> =>
    Embedder.load({ model: join(folder, 'model'), precision, onTruncated: () => undefined, cache: false })

  test('give the vectors of sentence-transformers for 2,000 real texts', async (context) => {
    const texts = (await readPacked(join(minilm, 'texts.json.gz'))) as string[]
    assert.equal(texts.length, 2000)
    const golden = await readGolden(minilm)
    for (const precision of ['fp32', 'bf16', 'int8'] as const) {
      using embedder = await load(precision)
      if (precision === 'fp32') assertSameIds(embedder, texts, golden)
      const agreement = await agreementOf(embedder, texts, golden)
      context.diagnostic(`${precision}: ${inWords(agreement)}`)
      // Only gabion's own operator computes int8 within its bound: stock operators do not.
      if (precision === 'int8' && nativeAddon().machine().encoderInstructionSet === '') continue
      const bounds = BOUNDS[precision]
      assert.ok(agreement.worstCosine >= bounds.worstCosine, `${precision}: ${inWords(agreement)}`)
      assert.ok(agreement.meanCosine >= bounds.meanCosine, `${precision}: ${inWords(agreement)}`)
      assert.ok(agreement.worstElement <= bounds.worstElement, `${precision}: ${inWords(agreement)}`)
    }
  })

  test('rank the pairs of the STS benchmark as sentence-transformers does', async (context) => {
    const rows = parse(await readFile(join(root, 'data', 'stsb-en-test.csv'))) as [string, string, string][]
    const reference = JSON.parse(await readFile(join(minilm, 'sts.json'), 'utf8')) as { pairs: number; spearman: number }
    assert.equal(rows.length, reference.pairs)
    const scores = ranks(rows.map(([, , score]) => Number(score)))
    for (const precision of ['fp32', 'bf16'] as const) {
      using embedder = await load(precision)
      const batch = await embedder.embedBatch(rows.flatMap(([first, second]) => [first, second]))
      const cosines = rows.map((_, index) => {
        const second = batch.row(2 * index + 1)
        return batch.row(2 * index).reduce((sum, value, at) => sum + value * (second[at] as number), 0)
      })
      const spearman = correlation(ranks(cosines), scores)
      context.diagnostic(`${precision}: Spearman ${spearman.toFixed(6)}, sentence-transformers ${reference.spearman.toFixed(6)}`)
      assert.ok(Math.abs(spearman - reference.spearman) <= 0.0005, `${precision}: ${String(spearman)}`)
    }
  })
})
