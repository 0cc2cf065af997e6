// Whatever JavaScript passes to a native function, the process survives, and errors carry a code.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { readGuardFolder } from '../../lib/classifier/guard-folder.js'
import { openClassifier } from '../../lib/classifier/native-classifier.js'
import { GUARD_FOLDER } from '../../lib/detection/guard/load-guard.js'
import { ERROR_CODES } from '../../lib/errors.js'
import { resolveModel } from '../../lib/models/resolve.js'
import {
  nativeAddon,
  type NativeAddon,
  type NativeClassifierOptions,
  type NativeModel,
  type NativeModelOptions,
  type NativeProjection,
} from '../../lib/native.js'

type Loose = Record<keyof NativeAddon, (...args: unknown[]) => unknown>

const addon = nativeAddon()
const loose = addon as unknown as Loose
let options: NativeModelOptions
let model: NativeModel
let projection: NativeProjection
let classifierOptions: NativeClassifierOptions
let classifier: NativeModel
const vector = new Float32Array(384)
const stats = new Float64Array(5)

function open(given: unknown): Promise<NativeModel> {
  return new Promise((resolve, reject) => {
    addon.openModel(given as NativeModelOptions, (code, message, opened) => {
      if (opened === undefined) reject(Object.assign(new Error(message ?? ''), { code }))
      else resolve(opened)
    })
  })
}

before(async () => {
  const description = await resolveModel(undefined)
  options = {
    graphFile: description.graphs[0]?.file ?? '',
    tokenizerFile: description.tokenizerFile,
    pooling: description.pooling,
    normalize: true,
    maxTokens: description.maxSequenceLength,
    vocabularySize: description.vocabularySize,
    dimensions: description.dimensions,
    encoderPrecision: 'bf16' as const,
    providers: ['cpu'],
    threads: 2,
  }
  model = await open(options)
  projection = addon.createProjection(new Float64Array(768), new Float64Array(2))
  const { tokenizerFile, checkpoint, head, segments, budgets } = await readGuardFolder(GUARD_FOLDER)
  classifierOptions = { tokenizerFile, checkpoint: { ...checkpoint, precision: 'bf16' }, head, segments, stride: budgets.replyStride }
  classifier = (await openClassifier(classifierOptions)).model
})
after(() => {
  addon.closeModel(model)
  addon.closeModel(classifier)
})

function assertCoded(error: unknown): void {
  assert.ok(error instanceof Error)
  assert.ok('code' in error && typeof error.code === 'string' && error.code in ERROR_CODES, `uncoded: ${error.message}`)
  assert.notEqual(error.code, 'INTERNAL')
}

const detached = new Float64Array(8)
structuredClone(detached, { transfer: [detached.buffer] })

/** Values that no function expects at most places. */
const oddities: unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  NaN,
  Infinity,
  2 ** 53,
  10n,
  '',
  'text',
  Symbol('s'),
  {},
  [],
  [1],
  ['a', 2],
  [[]],
  new Array(5),
  () => 1,
  new Date(),
  /x/,
  new Map(),
  new Proxy({}, {}),
  new Proxy([], {}),
  new Float32Array(4),
  new Float64Array(0),
  new Float64Array(3),
  detached,
  new Float64Array(new SharedArrayBuffer(16)),
  new Uint8Array(3),
  new DataView(new ArrayBuffer(8)),
  Object.create(null),
  Promise.resolve(),
  globalThis,
]

describe('native functions', () => {
  // Those that take nothing cannot be given anything wrong.
  const functions = Object.keys(addon).filter((name) => !['prepareRuntime', 'runtime', 'machine'].includes(name)) as (keyof NativeAddon)[]

  test('are the ones that lib/native.ts declares', () => {
    assert.deepEqual(Object.keys(addon).sort(), [
      'addOuterProducts',
      'cancel',
      'classify',
      'closeModel',
      'compareRows',
      'createProjection',
      'embed',
      'embedSync',
      'fitsEncoder',
      'machine',
      'openClassifier',
      'openModel',
      'prepareRuntime',
      'runtime',
      'symmetricEigen',
      'tokenize',
    ])
  })

  for (const name of functions) {
    test(`${name} refuses every oddity at every place with a code`, () => {
      const valid: Record<string, unknown[]> = {
        openModel: [options, () => undefined],
        openClassifier: [classifierOptions, () => undefined],
        closeModel: [model],
        createProjection: [new Float64Array(2), new Float64Array(1)],
        embed: [model, ['text'], null, { size: 64, stride: 32 }, () => undefined],
        classify: [classifier, ['rule', 'message', 'reply'], new Float64Array([1, 0, 1, 1]), 4, () => undefined],
        cancel: [4294967295],
        fitsEncoder: [{ layers: 1, heads: 1, hidden: 32, intermediate: 32, epsilon: 1e-5 }],
        embedSync: [model, 'text', projection, vector, new Float32Array(2), stats],
        tokenize: [model, 'text'],
        addOuterProducts: [new Float32Array(6), 3, new Float64Array(3), new Float64Array(9), new Float64Array(3)],
        symmetricEigen: [new Float64Array(9), 2, new Float64Array(3), new Float64Array(6)],
        compareRows: [new Float32Array(6), new Float64Array(3), new Float64Array(2), true],
      }
      assert.ok(name in valid, `no arguments are known for ${name}`)
      const good = valid[name] ?? []
      for (let place = 0; place < good.length; place++) {
        for (const oddity of oddities) {
          const args = good.slice()
          args[place] = oddity
          try {
            loose[name](...args)
          } catch (error) {
            assertCoded(error)
          }
        }
      }
      for (let count = 0; count < good.length; count++) {
        assert.throws(
          () => loose[name](...good.slice(0, count)),
          (error) => {
            assertCoded(error)
            return true
          },
        )
      }
    })
  }

  test('handles of another kind are refused', () => {
    for (const wrong of [projection, Object.create(model), { ...model }]) {
      assert.throws(() => loose.tokenize(wrong, 'text'), { code: 'INVALID_ARGUMENT' })
      assert.throws(() => loose.embedSync(wrong, 'text', null, vector, null, stats), { code: 'INVALID_ARGUMENT' })
      assert.throws(() => loose.closeModel(wrong), { code: 'INVALID_ARGUMENT' })
    }
    assert.throws(() => loose.embedSync(model, 'text', model, vector, null, stats), { code: 'INVALID_ARGUMENT' })
  })

  test('room for results of another type or size is refused, and nothing is written', () => {
    const projected = new Float32Array(2)
    const moved = new Float32Array(384)
    structuredClone(moved, { transfer: [moved.buffer] })
    for (const wrong of [new Float32Array(383), new Float32Array(385), new Float64Array(384), new Int32Array(384), moved, null]) {
      assert.throws(() => loose.embedSync(model, 'text', projection, wrong, projected, stats), { code: 'INVALID_ARGUMENT' })
    }
    for (const wrong of [new Float32Array(1), new Float32Array(3), new Float64Array(2), null]) {
      assert.throws(() => loose.embedSync(model, 'text', projection, vector, wrong, stats), { code: 'INVALID_ARGUMENT' })
    }
    const whole = new Float32Array(3 * 384).fill(7)
    for (const wrong of [new Float64Array(4), new Float32Array(5), null]) {
      assert.throws(() => loose.embedSync(model, 'text', null, whole.subarray(0, 384), null, wrong), { code: 'INVALID_ARGUMENT' })
    }
    assert.ok(whole.every((value) => value === 7))

    addon.embedSync(model, 'text', null, whole.subarray(384, 768), null, stats)
    assert.ok(whole.subarray(0, 384).every((value) => value === 7) && whole.subarray(768).every((value) => value === 7))
    assert.ok(Math.abs(Math.hypot(...whole.subarray(384, 768)) - 1) < 1e-6)
    assert.deepEqual([...stats.subarray(3)], [3, 3])
  })

  test('random arguments never crash', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...functions.filter((name) => name !== 'closeModel')),
        fc.array(
          fc.oneof(fc.anything({ withTypedArray: true, withBigInt: true }), fc.constantFrom<unknown>(model, projection, ...oddities)),
          {
            maxLength: 5,
          },
        ),
        (name, args) => {
          try {
            loose[name](...args)
          } catch (error) {
            assert.ok(error instanceof Error)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})

describe('re-entrance', () => {
  test('a getter that closes the model while its texts are read', async () => {
    const own = await open(options)
    const texts = ['first', 'second']
    Object.defineProperty(texts, 1, {
      get() {
        addon.closeModel(own)
        return 'read after closing'
      },
    })
    assert.throws(() => addon.embed(own, texts, null, null, () => undefined), { code: 'DISPOSED' })
    assert.throws(() => addon.embedSync(own, 'closed by now', null, vector, null, stats), { code: 'DISPOSED' })
  })

  test('a getter that shrinks the array', () => {
    const texts = ['first', 'second', 'third']
    Object.defineProperty(texts, 0, {
      get() {
        texts.length = 1
        return 'first'
      },
    })
    assert.throws(() => addon.embed(model, texts, null, null, () => undefined), { code: 'INVALID_ARGUMENT' })
  })

  test('a getter that throws: its own error arrives', () => {
    const texts = ['a']
    Object.defineProperty(texts, 0, {
      get() {
        throw new RangeError('from the getter')
      },
    })
    assert.throws(() => addon.embed(model, texts, null, null, () => undefined), RangeError)
  })

  test('options whose getters embed', async () => {
    const tricky = { ...options }
    Object.defineProperty(tricky, 'dimensions', {
      get() {
        addon.embedSync(model, 'inside', null, vector, null, stats)
        return vector.length
      },
    })
    addon.closeModel(await open(tricky))
  })
})

describe('opening', () => {
  const wrong: [string, Partial<Record<keyof NativeModelOptions, unknown>>, string][] = [
    ['a missing graph', { graphFile: '/nonexistent/model.onnx' }, 'MODEL_NOT_FOUND'],
    ['a folder as graph', { graphFile: '/' }, 'MODEL_NOT_FOUND'],
    ['a missing tokenizer', { tokenizerFile: '/nonexistent/tokenizer.json' }, 'MODEL_NOT_FOUND'],
    ['a vocabulary that is too small', { vocabularySize: 10 }, 'MODEL_INVALID'],
    ['another width', { dimensions: 12 }, 'MODEL_INVALID'],
    ['no provider that exists', { providers: ['abacus'] }, 'PROVIDER_UNAVAILABLE'],
  ]
  for (const [what, change, code] of wrong) {
    test(`${what} is ${code}`, async () => {
      await assert.rejects(open({ ...options, ...change }), { code })
    })
  }

  test('a file that is no graph is MODEL_INVALID', async () => {
    await assert.rejects(open({ ...options, graphFile: options.tokenizerFile }), { code: 'MODEL_INVALID' })
  })

  test('a file that is no tokenizer is MODEL_INVALID', async () => {
    await assert.rejects(open({ ...options, tokenizerFile: options.graphFile }), { code: 'MODEL_INVALID' })
  })
})
