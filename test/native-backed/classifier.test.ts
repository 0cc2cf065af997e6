// `Classifier` beyond its numbers: labels and scores, windows of long texts, options, folders that it refuses.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { joinWindows, scoresOf } from '../../lib/classifier/classification.js'
import { isGabionError } from '../../lib/errors.js'
import { Classifier } from '../../lib/index.js'

const folderOf = (name: string): string => join('build/classifiers', name)
const coded = (code: string, pattern: RegExp) => (error: unknown) =>
  isGabionError(error) && error.code === code && pattern.test(error.message)
const near = (actual: number | undefined, expected: number): void =>
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1e-6, `${String(actual)} is not ${String(expected)}`)

describe('scores', () => {
  it('are a softmax of labels that exclude each other', () => {
    const [a, b, c] = scoresOf(Float32Array.of(1, 2, 900), 'single_label_classification')
    near(a, 0)
    near(b, 0)
    near(c, 1)
    near(scoresOf(Float32Array.of(0, Math.log(3)), 'single_label_classification')[1], 0.75)
  })

  it('are a sigmoid of independent labels and of a single one, and the logits of a regression', () => {
    near(scoresOf(Float32Array.of(0, Math.log(3)), 'multi_label_classification')[1], 0.75)
    near(scoresOf(Float32Array.of(Math.log(3)), 'single_label_classification')[0], 0.75)
    assert.deepEqual(scoresOf(Float32Array.of(-2.5), 'regression'), [-2.5])
  })

  it('join windows by maximum or mean', () => {
    const logits = Float32Array.of(1, 8, 3, 4)
    assert.deepEqual([...joinWindows(logits, 2, 'max')], [3, 8])
    assert.deepEqual([...joinWindows(logits, 2, 'mean')], [2, 6])
  })
})

describe('Classifier', () => {
  it('names labels, best first', async () => {
    using classifier = await Classifier.load(folderOf('bert'), { precision: 'fp32', threads: 1 })
    const { info } = classifier
    assert.deepEqual(info.labels, ['contradiction', 'entailment', 'neutral'])
    assert.deepEqual(
      [info.model, info.modelType, info.problemType, info.precision, info.provider, info.threads, info.maxTokens, info.aggregation],
      ['bert', 'bert', 'single_label_classification', 'fp32', 'cpu', 1, 96, 'mean'],
    )
    const result = await classifier.classify({ text: 'every boat left', pair: 'no boat stayed' })
    assert.deepEqual(result.scores[0], { label: result.label, score: result.score })
    near(
      result.scores.reduce((sum, { score }) => sum + score, 0),
      1,
    )
    assert.deepEqual(
      result.scores.map(({ label }) => label),
      [...result.logits.entries()].sort((a, b) => b[1] - a[1]).map(([index]) => info.labels[index]),
    )
    assert.equal(result.windows, 1)
    assert.equal(result.truncated, false)
    assert.ok(result.timings.totalMs > 0)
    const [top, second] = await classifier.classifyBatch([{ text: 'every boat left', pair: 'no boat stayed' }, 'a'], { topK: 2 })
    assert.deepEqual(top?.scores, result.scores.slice(0, 2))
    assert.equal(second?.scores.length, 2)
    assert.deepEqual(await classifier.classifyBatch([]), [])
  })

  it('scores by problem_type, and names labels as transformers does where a folder names none', async () => {
    using several = await Classifier.load(folderOf('bert-bf16'))
    assert.equal(several.info.problemType, 'multi_label_classification')
    assert.equal(several.info.precision, 'bf16')
    const { scores, logits } = await several.classify('gulls argued')
    for (const { label, score } of scores) near(score, 1 / (1 + Math.exp(-(logits[several.info.labels.indexOf(label)] as number))))
    using unnamed = await Classifier.load(folderOf('distilbert'))
    assert.deepEqual(unnamed.info.labels, ['LABEL_0', 'LABEL_1'])
    using regression = await Classifier.load(folderOf('mpnet'))
    const { score, logits: ofRegression } = await regression.classify('gulls argued')
    assert.equal(score, ofRegression[0])
  })

  it('reads long texts and second texts in windows, so that nothing is lost', async () => {
    const word = 'harbour '
    using classifier = await Classifier.load(folderOf('bert'), { precision: 'fp32' })
    const long = await classifier.classify(word.repeat(200) + 'gulls argued over bread')
    assert.ok(long.windows > 2)
    assert.equal(long.truncated, false)
    using cut = await Classifier.load(folderOf('bert'), { precision: 'fp32', truncation: 'longest_first' })
    const start = await cut.classify(word.repeat(200) + 'gulls argued over bread')
    assert.deepEqual([start.windows, start.truncated, start.tokenCount], [1, true, 96])
    assert.notDeepEqual(start.logits, long.logits)
    const pair = await classifier.classify({ text: 'every boat', pair: word.repeat(200) })
    assert.ok(pair.windows > 2 && !pair.truncated)
    const both = await classifier.classify({ text: word.repeat(200), pair: word.repeat(200) })
    assert.deepEqual([both.windows, both.truncated], [1, true])

    using greatest = await Classifier.load(folderOf('bert'), { precision: 'fp32', aggregation: 'max' })
    const maximum = await greatest.classify(word.repeat(200) + 'gulls argued over bread')
    for (const [at, logit] of maximum.logits.entries()) assert.ok(logit >= (long.logits[at] as number))
  })

  it('refuses inputs and options of another kind, aborts, and ends', async () => {
    const classifier = await Classifier.load(folderOf('roberta'))
    await assert.rejects(classifier.classify(1 as never), coded('INVALID_ARGUMENT', /input must be a string or \{ text, pair \}, got 1/))
    await assert.rejects(classifier.classify({ text: 'a' } as never), coded('INVALID_ARGUMENT', /input\.pair/))
    await assert.rejects(classifier.classifyBatch(['a', null as never]), coded('INVALID_ARGUMENT', /inputs\[1\]/))
    await assert.rejects(classifier.classify('a', { topK: 0 }), coded('INVALID_ARGUMENT', /topK/))
    const stop = new AbortController()
    const running = classifier.classifyBatch(Array.from({ length: 2000 }, (_, index) => `gulls ${String(index)}`), { signal: stop.signal }) // prettier-ignore
    stop.abort()
    await assert.rejects(running, coded('ABORTED', /aborted/))
    const last = classifier.classify('gulls')
    classifier.dispose()
    classifier.dispose()
    assert.equal((await last).label, 'relevance')
    await assert.rejects(classifier.classify('gulls'), coded('DISPOSED', /disposed/))
    await assert.rejects(Classifier.load(folderOf('bert'), { truncation: 'middle' as never }), coded('INVALID_ARGUMENT', /truncation/))
    await assert.rejects(Classifier.load(folderOf('bert'), { labels: [] } as never), coded('INVALID_ARGUMENT', /no option 'labels'/))
  })
})

describe('folders', () => {
  let scratch: string
  before(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gabion-classifier-'))))
  after(() => rm(scratch, { recursive: true }))
  afterEach(() => rm(join(scratch, 'model'), { recursive: true, force: true }))

  const changed = async (name: string, change: (config: Record<string, unknown>) => void): Promise<string> => {
    const folder = join(scratch, 'model')
    await cp(folderOf(name), folder, { recursive: true })
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
    change(config)
    await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    return folder
  }
  const refused = async (folder: string, code: string, pattern: RegExp): Promise<void> => {
    await assert.rejects(Classifier.load(folder), coded(code, pattern))
    await rm(folder, { recursive: true })
  }

  it('that are no classifiers are refused', async () => {
    await assert.rejects(Classifier.load(join(scratch, 'nothing')), coded('MODEL_NOT_FOUND', /config\.json/))
    await assert.rejects(
      Classifier.load('build/cache/all-MiniLM-L6-v2'),
      coded('MODEL_UNSUPPORTED', /ForSequenceClassification, has BertModel/),
    )
    await refused(await changed('bert', (config) => Object.assign(config, { id2label: { 0: 'a', 2: 'b' } })), 'MODEL_INVALID', /id2label/)
    await refused(await changed('bert', (config) => Object.assign(config, { id2label: { 0: 'a' } })), 'MODEL_INVALID', /classifier\.weight/)
    await refused(
      await changed('bert', (config) => Object.assign(config, { hidden_act: 'relu' })),
      'MODEL_UNSUPPORTED',
      /activation 'relu'.*ONNX export/,
    )
    await refused(
      await changed('bert', (config) => Object.assign(config, { num_attention_heads: 64 })),
      'MODEL_UNSUPPORTED',
      /does not fit the kernels/,
    )
    await refused(
      await changed('bert', (config) => Object.assign(config, { num_hidden_layers: 3 })),
      'MODEL_UNSUPPORTED',
      /has no tensor 'bert\.encoder\.layer\.2/,
    )
    await refused(
      await changed('modernbert', (config) => Object.assign(config, { vocab_size: 10 })),
      'MODEL_INVALID',
      /only 10 token vectors/,
    )
  })

  it('whose files are cut short or missing are refused', async () => {
    const folder = await changed('bert', () => undefined)
    await truncate(join(folder, 'model.safetensors'), 5000)
    await refused(folder, 'MODEL_INVALID', /safetensors/)
    const without = await changed('bert', () => undefined)
    await unlink(join(without, 'tokenizer.json'))
    await refused(without, 'MODEL_NOT_FOUND', /tokenizer\.json/)
    const weightless = await changed('bert', () => undefined)
    await unlink(join(weightless, 'model.safetensors'))
    await refused(weightless, 'MODEL_UNSUPPORTED', /not in safetensors/)
  })

  it('whose weights are written while they are used fail instead of giving wrong logits', async () => {
    const folder = await changed('bert', () => undefined)
    using classifier = await Classifier.load(folder)
    await classifier.classify('gulls')
    const weights = await readFile(join(folder, 'model.safetensors'))
    await writeFile(join(folder, 'model.safetensors'), weights)
    await assert.rejects(classifier.classify('gulls'), coded('MODEL_INVALID', /changed|written/))
  })

  it('that run from an export have no precision but their own', async () => {
    await assert.rejects(Classifier.load(folderOf('deberta-v2'), { precision: 'int8' }), coded('MODEL_NOT_FOUND', /run as it is/))
  })
})
