// `Classifier.load` on untouched folders that transformers saved (scripts/golden/make_classifiers.py): random weights of every architecture,
// texts and pairs, short and cut. Logits in fp32 are those of transformers to the last digits, whatever runs them.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Classifier } from '../../lib/classifier/classifier.js'
import type { ClassifierInput, ClassifierOptions } from '../../lib/classifier/classifier-options.js'
import { quantile } from '../../lib/statistics/quantile.js'

/** An input with what transformers makes of it. */
interface GoldenInput {
  text: string
  pair?: string
  truncation?: 'longest_first' | 'only_second'
  tokens: number
  logits: number[]
}

const KERNELS = ['bert', 'bert-bf16', 'distilbert', 'roberta', 'xlm-roberta', 'mpnet']
const EXPORTS = ['deberta-v2', 'modernbert']
/** Logits spread by .4 to .9; sums are in another order than PyTorch's. The worst of seeds and instruction sets tried was 1.4e-6. */
const BOUND = 1e-5

const folderOf = (name: string): string => join('build/classifiers', name)
const goldenOf = (name: string): GoldenInput[] => JSON.parse(readFileSync(join(folderOf(name), 'golden.json'), 'utf8')) as GoldenInput[]
const inputOf = ({ text, pair }: GoldenInput): ClassifierInput => (pair === undefined ? text : { text, pair })

/** Differences to transformers, sorted. */
async function differences(name: string, options: ClassifierOptions): Promise<number[]> {
  const found: number[] = []
  for (const truncation of ['longest_first', 'only_second'] as const) {
    using classifier = await Classifier.load(folderOf(name), { ...options, truncation })
    assert.equal(classifier.info.instructionSet === '', EXPORTS.includes(name))
    const golden = goldenOf(name).filter((input) => (input.truncation ?? 'longest_first') === truncation)
    const results = await classifier.classifyBatch(golden.map(inputOf))
    for (const [index, expected] of golden.entries()) {
      const { logits, tokenCount, truncated } = results[index]!
      assert.equal(tokenCount, expected.tokens, `${name}: ${JSON.stringify(expected.text)}`)
      if (truncated) assert.equal(tokenCount, classifier.info.maxTokens)
      for (const [at, logit] of expected.logits.entries()) found.push(Math.abs((logits[at] as number) - logit))
    }
  }
  return found.sort((a, b) => a - b)
}

describe('classifiers against transformers', () => {
  it('have inputs of every kind', () => {
    const golden = goldenOf('bert')
    assert.ok(golden.some(({ pair, tokens }) => pair === undefined && tokens === 96))
    for (const truncation of ['longest_first', 'only_second']) {
      assert.ok(golden.filter((input) => input.truncation === truncation && input.tokens === 96).length > 5, truncation)
    }
  })

  for (const name of [...KERNELS, ...EXPORTS]) {
    it(`${name}: the same logits in fp32`, async (test) => {
      const sorted = await differences(name, { precision: 'fp32' })
      test.diagnostic(`worst ${quantile(sorted, 1).toExponential(1)} of ${String(sorted.length)} logits`)
      assert.ok(quantile(sorted, 1) <= BOUND, quantile(sorted, 1).toExponential(2))
    })
  }

  for (const [precision, bound] of [
    ['bf16', 0.05],
    ['int8', 0.1],
  ] as const) {
    // prettier-ignore
    it(`nearly the same logits in ${precision}`, async (test) => {
      const sorted = (await Promise.all(KERNELS.map((name) => differences(name, { precision })))).flat().sort((a, b) => a - b)
      test.diagnostic(`${precision}: 99 % within ${quantile(sorted, 0.99).toFixed(3)}, median ${quantile(sorted, 0.5).toFixed(4)}`)
      assert.ok(quantile(sorted, 0.99) <= bound)
    })
  }
})
