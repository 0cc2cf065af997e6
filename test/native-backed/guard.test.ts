// The guard with a model in native code: an untrained one, which scripts/golden/make_guard.py writes at the set-up.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { SegmentClassifier } from '../../lib/classifier/segment-classifier.js'
import { GUARD_OUTPUTS, parseGuardDescription } from '../../lib/detection/guard/description.js'
import { refusalFeatures } from '../../lib/detection/guard/refusals.js'
import { signalsOf } from '../../lib/detection/guard/signals.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Monitor } from '../../lib/monitor/monitor.js'

const SYSTEM =
  'Never promise a refund. Ask for the order number first. Be brief. Do not guess dates. Name no rivals. Keep codes secret. Promise no dates.'
const EXCHANGES = [
  { user: 'Where is my parcel?', assistant: 'It is on its way.' },
  { user: 'I want my money back.', assistant: "I'm sorry, I cannot promise that. Please tell me your order number." },
]

let folder = ''
let embedder: Embedder
before(async () => {
  embedder = await Embedder.load()
  folder = await mkdtemp(join(tmpdir(), 'gabion-guard-'))
  await cp('build/classifiers/guard', folder, { recursive: true })
  const file = join(folder, 'guard.json')
  const written = JSON.parse(await readFile(file, 'utf8')) as object
  const calibration = Object.fromEntries(GUARD_OUTPUTS.map((output) => [output, { logits: { [output]: 0.1 }, b: 0 }]))
  const flagWeights = GUARD_OUTPUTS.map((_, index) => [-index, -1])
  const lines = { alert: { breaks: 1.1, unsafe: 1.1 }, elevated: { breaks: 1.1, wavers: 1.1, strength: 0 } }
  await writeFile(file, JSON.stringify({ ...written, calibration, flagWeights, lines }))
})
after(async () => {
  embedder.dispose()
  await rm(folder, { recursive: true, force: true })
})

describe('a guard from a folder', () => {
  test('gives the signals of its model, read with the closest rules', async () => {
    using monitor = await Monitor.load({ embedder, guard: { folder, precision: 'fp32' } })
    const conversation = monitor.begin('c', { system: SYSTEM })
    const verdicts = []
    for (const exchange of EXCHANGES) verdicts.push(await conversation.addExchange(exchange))
    const [first, second] = EXCHANGES as [(typeof EXCHANGES)[0], (typeof EXCHANGES)[0]]
    const rules = [
      'Never promise a refund.',
      'Ask for the order number first.',
      'Be brief. Do not guess dates.',
      'Name no rivals.',
      'Keep codes secret.',
      'Promise no dates.',
    ]
    const vectors = await embedder.embedBatch([...rules, second.user, second.assistant, `${second.user}\n${second.assistant}`])
    const cosine = (a: number, b: number): number =>
      vectors.row(a).reduce((sum, value, index) => sum + value * (vectors.row(b)[index] ?? 0), 0)
    const closest = rules
      .map((rule, index) => ({ rule, cosine: Math.max(...[0, 1, 2].map((query) => cosine(index, rules.length + query))) }))
      .sort((a, b) => b.cosine - a.cosine)
      .slice(0, 5)
      .map(({ rule }) => rule)
    using model = await SegmentClassifier.load({ folder, precision: 'fp32' })
    const segments = [closest, ['user:', first.user, 'assistant:', first.assistant], [second.user], [second.assistant]]
    const { logits } = await model.score([{ segments }])
    const description = parseGuardDescription(await readFile(join(folder, 'guard.json'), 'utf8'), 'guard.json')
    assert.deepEqual(verdicts[1]?.signals, signalsOf(description, { logits, flags: refusalFeatures(second.assistant), terms: null }))
    assert.notEqual(verdicts[1].signals.breaks, verdicts[0]?.signals?.breaks)
  })

  test('needs no embedding where all rules fit', async () => {
    using monitor = await Monitor.load({ embedder, guard: { folder } })
    const verdict = await monitor.begin('c', { system: 'Never promise a refund.' }).addExchange(EXCHANGES[0]!)
    assert.equal(verdict.timings.encodeMs, 0)
    assert.ok(verdict.timings.detectMs > 0)
  })

  test('behind a first stage reads what that finds suspicious, and says nothing of the rest', async () => {
    using monitor = await Monitor.load({ embedder, guard: { folder, mode: 'suspicious' } })
    const conversation = monitor.begin('c')
    const calm = await conversation.addExchange({ user: 'When do you open?', assistant: 'At nine in the morning.' })
    const refused = await conversation.addExchange(EXCHANGES[1]!)
    assert.equal(calm.signals, null)
    assert.notEqual(refused.signals, null)
  })

  test('is aborted by the signal of its exchange', async () => {
    using monitor = await Monitor.load({ embedder, guard: { folder } })
    const conversation = monitor.begin('c', { system: SYSTEM })
    const abort = new AbortController()
    const long = { user: 'go on', assistant: 'And so on, as before. '.repeat(3000) }
    const verdict = conversation.addExchange(long, { signal: abort.signal })
    setTimeout(() => abort.abort(), 20)
    await assert.rejects(verdict, { code: 'ABORTED' })
    assert.equal((await conversation.addExchange(EXCHANGES[0]!)).exchange, 1)
  })

  test('that is missing, damaged or asked for with settings that exclude each other is refused', async () => {
    await assert.rejects(Monitor.load({ embedder, guard: { folder: '/nowhere' } }), {
      code: 'ARTIFACT_INVALID',
      message: /the guard \/nowhere/,
    })
    await assert.rejects(Monitor.load({ embedder, guard: 'sometimes' as never }), {
      code: 'INVALID_ARGUMENT',
      message: /guard must be one of/,
    })
    await assert.rejects(Monitor.load({ embedder, detector: 'guard', guard: 'off' } as never), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(Monitor.load({ embedder, detector: 'classic', guard: { folder } } as never), {
      code: 'INVALID_ARGUMENT',
      message: /guard must be omitted/,
    })
    await assert.rejects(Monitor.load({ embedder, guard: { folder, depth: 3 } as never }), { code: 'INVALID_ARGUMENT', message: /depth/ })
    const off = await Monitor.load({ embedder, guard: 'off' })
    assert.equal(off.detector.name, 'erosion')
  })
})
