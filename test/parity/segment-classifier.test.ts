// A guard's model against PyTorch: a folder without training that scripts/golden/make_guard.py writes at the set-up.
//
// fp32 sums in another order than PyTorch; bf16 and int8 round. The bounds on those hold for this guard, whose logits spread widely.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isGabionError } from '../../lib/errors.js'
import { SegmentClassifier, type ClassifierPrecision, type SegmentInput } from '../../lib/classifier/segment-classifier.js'
import { quantile } from '../../lib/statistics/quantile.js'

const FOLDER = 'build/classifiers/guard'

/** What PyTorch gives for an input: tokens and logits of each window. */
interface GoldenInput extends SegmentInput {
  segments: string[][]
  tokens: number[]
  logits: number[][]
}

let golden: GoldenInput[]

before(async () => {
  golden = JSON.parse(await readFile(join(FOLDER, 'golden.json'), 'utf8')) as GoldenInput[]
})

/** Differences to PyTorch's maximum over windows, of every input and output, sorted. */
async function differences(precision: ClassifierPrecision): Promise<number[]> {
  using classifier = await SegmentClassifier.load({ folder: FOLDER, precision })
  const outputs = classifier.info.outputs.length
  const { logits, windows, windowCounts, tokenCounts } = await classifier.score(golden)
  assert.deepEqual([...windowCounts], golden.map(({ tokens }) => tokens.length)) // prettier-ignore
  assert.deepEqual([...tokenCounts], golden.map(({ tokens }) => tokens.reduce((sum, count) => sum + count, 0))) // prettier-ignore
  return golden
    .flatMap(({ logits: expected }, input) =>
      Array.from({ length: outputs }, (_, output) => {
        const at = input * outputs + output
        const ofWindows = expected.map((row) => row[output] as number)
        if (precision === 'fp32') assert.equal(windows[at], ofWindows.indexOf(Math.max(...ofWindows)))
        return Math.abs((logits[at] as number) - Math.max(...ofWindows))
      }),
    )
    .sort((a, b) => a - b)
}

describe('a guard against PyTorch', () => {
  it('has windows of every kind', () => {
    assert.ok(golden.some(({ tokens }) => tokens.length > 2))
    assert.ok(golden.some(({ tokens }) => tokens.some((count) => count === 505)))
    assert.deepEqual(golden[0]?.tokens, [3])
  })

  it('gives the same logits in fp32', async () => {
    assert.ok(quantile(await differences('fp32'), 1) <= 1e-4)
  })

  for (const [precision, bound] of [
    ['bf16', 0.1],
    ['int8', 0.4],
  ] as const) {
    // prettier-ignore
    it(`gives nearly the same logits in ${precision}`, async (test) => {
      const sorted = await differences(precision)
      test.diagnostic(`${precision}: 99 % within ${quantile(sorted, 0.99).toFixed(3)}, median ${quantile(sorted, 0.5).toFixed(4)}`)
      assert.ok(quantile(sorted, 0.99) <= bound)
    })
  }

  it('gives each input the same bits alone, again, and in any company', async () => {
    using classifier = await SegmentClassifier.load({ folder: FOLDER, precision: 'int8', threads: 2 })
    const { logits } = await classifier.score(golden)
    const outputs = classifier.info.outputs.length
    for (const [index, input] of golden.entries()) {
      const alone = await classifier.score([input])
      assert.deepEqual(alone.logits, logits.slice(index * outputs, (index + 1) * outputs))
    }
  })
})

describe('a segment classifier', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-guard-'))
    await cp(FOLDER, folder, { recursive: true })
  })
  after(() => rm(folder, { recursive: true }))

  const code = (expected: string, pattern: RegExp) => (error: unknown) =>
    isGabionError(error) && error.code === expected && pattern.test(error.message)
  const edit = async (change: (fields: Record<string, unknown>) => void): Promise<void> => {
    const fields = JSON.parse(await readFile(join(FOLDER, 'guard.json'), 'utf8')) as Record<string, unknown>
    change(fields)
    await writeFile(join(folder, 'guard.json'), JSON.stringify(fields))
  }

  it('reports what it dropped of each input', async () => {
    using classifier = await SegmentClassifier.load({ folder: FOLDER })
    const word = (count: number): string => 'word '.repeat(count)
    const { droppedTokens, windowCounts } = await classifier.score([
      { segments: [[word(100), word(100)], [word(10)], [word(70)], [word(500)]] },
      { segments: [[], [], ['a'], ['b']] },
    ])
    assert.deepEqual([...droppedTokens], [50 + 6, 0])
    assert.deepEqual([...windowCounts], [4, 1])
  })

  it('refuses inputs of another form, and calls after its end', async () => {
    const classifier = await SegmentClassifier.load({ folder: FOLDER })
    await assert.rejects(classifier.score([{ segments: [[], [], []] }]), code('INVALID_ARGUMENT', /inputs\[0\]\.segments.*array of 4/))
    await assert.rejects(classifier.score([{ segments: [[], [], [], []] }]), code('INVALID_ARGUMENT', /at least one string/))
    await assert.rejects(
      classifier.score([{ segments: [[], [], [], [1 as unknown as string]] }]),
      code('INVALID_ARGUMENT', /must be a string, got 1/),
    )
    assert.equal((await classifier.score([])).logits.length, 0)
    const stop = new AbortController()
    const running = classifier.score(
      Array.from({ length: 300 }, () => golden[3] as GoldenInput),
      { signal: stop.signal },
    )
    stop.abort()
    await assert.rejects(running, code('ABORTED', /aborted/))
    classifier.dispose()
    classifier.dispose()
    await assert.rejects(classifier.score([{ segments: [[], [], [''], ['']] }]), code('DISPOSED', /disposed/))
  })

  it('refuses a folder that does not fit, and says why', async () => {
    const load = (): Promise<SegmentClassifier> => SegmentClassifier.load({ folder })
    await edit((fields) => Object.assign(fields, { version: 2 }))
    await assert.rejects(load(), code('MODEL_INVALID', /'version' must be 1/))
    await edit((fields) => Object.assign(fields.encoder as object, { tokenizerSha256: '0'.repeat(64) }))
    await assert.rejects(load(), code('MODEL_INVALID', /another tokenizer/))
    await edit((fields) => Object.assign(fields.budgets as object, { rules: 400 }))
    await assert.rejects(load(), code('MODEL_INVALID', /755 tokens, the model takes 512/))
    await edit((fields) => Object.assign(fields, { features: ['mean:reply', 'sum:all'] }))
    await assert.rejects(load(), code('MODEL_INVALID', /'features'/))
    await edit((fields) => Object.assign(fields, { outputs: ['one', 'two'] }))
    await assert.rejects(load(), code('MODEL_INVALID', /head\.weight.*\[2, 1152\]/))
    await edit(() => undefined)
    await truncate(join(folder, 'model.safetensors'), 1_000_000)
    await assert.rejects(load(), code('MODEL_INVALID', /safetensors/))
  })
})
