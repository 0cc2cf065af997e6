// Guards on every family of encoders against the model that the laboratory trains: tiny ones without training, which
// scripts/golden/make_guard.py writes at the set-up.

import assert from 'node:assert/strict'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SegmentClassifier, type SegmentClassifierOptions, type SegmentInput } from '../../lib/classifier/segment-classifier.js'
import { convertModel } from '../../lib/convert/index.js'
import { isGabionError } from '../../lib/errors.js'

const folderOf = (family: string, part: string): string => join('build/classifiers/guards', family, part)

/** What the laboratory's model gives for an input: tokens and logits of each window. */
interface GoldenInput extends SegmentInput {
  segments: string[][]
  tokens: number[]
  logits: number[][]
}

/** The greatest difference to the maximum over windows. */
async function greatestDifference(family: string, options: SegmentClassifierOptions): Promise<number> {
  const golden = JSON.parse(readFileSync(folderOf(family, 'golden.json'), 'utf8')) as GoldenInput[]
  using classifier = await SegmentClassifier.load(options)
  const { logits, tokenCounts } = await classifier.score(golden)
  assert.deepEqual([...tokenCounts], golden.map(({ tokens }) => tokens.reduce((sum, count) => sum + count, 0))) // prettier-ignore
  const expected = golden.flatMap(({ logits: windows }) =>
    classifier.info.outputs.map((_, output) => Math.max(...windows.map((row) => row[output] as number))),
  )
  assert.equal(logits.length, expected.length)
  return Math.max(...expected.map((value, index) => Math.abs(value - (logits[index] as number))))
}

describe('a guard', () => {
  let temporary = ''
  before(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'gabion-guards-'))
  })
  after(() => rm(temporary, { recursive: true }))

  for (const family of ['bert', 'mpnet', 'roberta', 'xlm-roberta', 'distilbert']) {
    it(`with all of a ${family} encoder gives the logits of the laboratory`, async (test) => {
      const difference = await greatestDifference(family, { folder: folderOf(family, 'whole'), precision: 'fp32' })
      test.diagnostic(`${family}: ${difference.toExponential(1)}`)
      assert.ok(difference <= 1e-5)
    })
  }

  // DistilBERT is no encoder of embedding models.
  for (const family of ['bert', 'mpnet', 'roberta', 'xlm-roberta']) {
    it(`shares the tables of a converted ${family} encoder`, async () => {
      const encoder = join(temporary, family)
      await convertModel({ source: folderOf(family, 'encoder'), out: encoder })
      const difference = await greatestDifference(family, { folder: folderOf(family, 'shared'), encoder, precision: 'fp32' })
      assert.ok(difference <= 1e-5, difference.toExponential(1))
    })
  }

  for (const [precision, bound] of [
    ['bf16', 0.1],
    ['int8', 0.3],
  ] as const) {
    it(`on MPNet runs in ${precision}`, async (test) => {
      const difference = await greatestDifference('mpnet', { folder: folderOf('mpnet', 'whole'), precision })
      test.diagnostic(`${precision}: ${difference.toFixed(4)}`)
      assert.ok(difference <= bound)
    })
  }

  it('on an encoder that the kernels cannot compute, or without its tokenizer, is refused', async () => {
    const folder = join(temporary, 'refused')
    cpSync(folderOf('mpnet', 'whole'), folder, { recursive: true })
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object
    const refused = async (changes: object, code: string, pattern: RegExp): Promise<void> => {
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }))
      await assert.rejects(
        SegmentClassifier.load({ folder }),
        (error) => isGabionError(error) && error.code === code && pattern.test(error.message),
      )
    }
    await refused({ model_type: 'deberta-v2' }, 'MODEL_UNSUPPORTED', /computed with model_type 'deberta-v2'/)
    await refused({ hidden_act: 'relu' }, 'MODEL_UNSUPPORTED', /computed with activation 'relu'/)
    await refused({ model_type: 'roberta' }, 'MODEL_UNSUPPORTED', /attention\.self\.query/)
    await unlink(join(folder, 'tokenizer.json'))
    await refused({}, 'MODEL_NOT_FOUND', /no tokenizer\.json/)
  })
})
