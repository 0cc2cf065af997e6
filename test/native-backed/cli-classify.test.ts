import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Classifier } from '../../lib/index.js'
import { assertRefused, gabion, jsonLines, temporaryFolder } from './cli-process.js'

const MODEL = 'build/classifiers/bert'
const TEXTS = ['every boat left', 'gulls argued over bread', 'harbour '.repeat(200)]

describe('gabion classify', () => {
  const folder = temporaryFolder()

  test('writes a line per text with its best label', async () => {
    const { code, stdout, stderr } = await gabion(['classify', '--model', MODEL, '--precision', 'fp32', ...TEXTS])
    assert.equal(code, 0, stderr)
    using classifier = await Classifier.load(MODEL, { precision: 'fp32' })
    const expected = await classifier.classifyBatch(TEXTS)
    const lines = stdout.trimEnd().split('\n')
    assert.deepEqual(lines.map((line) => line.split('\t').slice(0, 2)), expected.map(({ label, score }) => [label, score.toFixed(4)])) // prettier-ignore
    assert.match(lines[2] ?? '', /…$/)
  })

  test('writes JSON lines of pairs, from a file or with one second text for all', async () => {
    const file = join(folder, 'pairs.jsonl')
    writeFileSync(file, [{ text: TEXTS[0], pair: 'no boat left' }, { text: TEXTS[1] }].map((line) => `${JSON.stringify(line)}\n`).join(''))
    using classifier = await Classifier.load(MODEL)
    const [first, second] = await classifier.classifyBatch([{ text: TEXTS[0]!, pair: 'no boat left' }, TEXTS[1]!])
    const fromFile = jsonLines((await gabion(['classify', '-m', MODEL, '--json', '--input', file])).stdout)
    assert.deepEqual(fromFile.map(({ index, scores }) => ({ index, scores })), [first, second].map((each, index) => ({ index, scores: each?.scores }))) // prettier-ignore
    assert.deepEqual(Object.keys(fromFile[0] ?? {}), ['index', 'label', 'score', 'scores', 'tokens', 'windows', 'truncated'])
    const [one] = jsonLines((await gabion(['classify', '-m', MODEL, '--json', '-k', '1', '--pair', 'no boat left', TEXTS[0]!])).stdout)
    assert.deepEqual(one?.scores, first?.scores.slice(0, 1))
  })

  test('says how many inputs it cut', async () => {
    const { code, stdout, stderr } = await gabion(['classify', '-m', MODEL, '--json', '--truncation', 'longest_first', ...TEXTS])
    assert.equal(code, 0)
    assert.deepEqual(jsonLines(stdout).map(({ truncated }) => truncated), [false, false, true]) // prettier-ignore
    assert.match(stderr, /^1 input longer than 96 tokens: truncated/)
  })

  test('refuses a folder that is no classifier, and both texts and a file', async () => {
    assertRefused(await gabion(['classify', '-m', 'models/all-MiniLM-L6-v2', 'a']), 2, /MODEL_UNSUPPORTED/)
    assertRefused(await gabion(['classify', '-m', MODEL]), 2, /INVALID_ARGUMENT/)
    assertRefused(await gabion(['classify', '-m', MODEL, '--input', 'x', 'a']), 2, /INVALID_ARGUMENT/)
    assertRefused(await gabion(['classify', 'a']), 2, /INVALID_ARGUMENT/)
  })
})
