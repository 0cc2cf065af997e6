// Exports that are broken or reach outside their folder: each a coded error, never a crash.

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'

/** A protobuf field of bytes. */
const bytes = (field: number, content: string | Buffer): Buffer => {
  const body = Buffer.from(content as string)
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body])
}
const varint = (value: number): Buffer => Buffer.from(value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)])
const call = bytes(7, Buffer.concat([bytes(4, 'F'), bytes(7, 'own')]))
const circle = bytes(25, Buffer.concat([bytes(1, 'F'), bytes(10, 'own'), call]))

const source = fileURLToPath(new URL('../fixtures/family/bert', import.meta.url))
const WEIGHTS = 'weights_fp32.safetensors'

describe('an ONNX export', () => {
  let folder: string
  let model: string
  let graph: Buffer
  const load = async (content: Buffer): Promise<void> => {
    await writeFile(join(model, 'onnx', 'model.onnx'), content)
    using embedder = await Embedder.load(model)
    assert.equal(embedder.info.precision, 'fp32')
  }
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-foreign-'))
    model = join(folder, 'a', 'b', 'model')
    await mkdir(join(folder, 'a', 'b'), { recursive: true })
    await convertModel({ source, out: model, precisions: ['fp32'] })
    graph = await readFile(join(model, 'onnx', 'model_fp32.onnx'))
    await rm(join(model, 'onnx', 'manifest.json'))
    await copyFile(join(model, 'onnx', WEIGHTS), join(folder, 'a', 'outside.weights'))
  })
  after(() => rm(folder, { recursive: true }))

  /** The graph with its weights under another path of the same length. */
  const pointingAt = (path: string): Buffer => {
    assert.equal(path.length, WEIGHTS.length)
    return Buffer.from(graph.toString('latin1').replaceAll(WEIGHTS, path), 'latin1')
  }

  test('runs', () => load(graph))

  test('with weights outside its folder is refused', async () => {
    await assert.rejects(load(pointingAt('../../../outside.weights')), { code: 'MODEL_INVALID', message: /escapes model directory/ })
  })

  test('without its weights is refused', async () => {
    await assert.rejects(load(pointingAt('weights_fp99.safetensors')), { code: 'MODEL_INVALID', message: /does not exist/ })
  })

  test('whose functions call each other without a bound is refused', async () => {
    // ONNX Runtime 1.30 overflows its stack at 3,000 nested calls, and inlines all of 2³⁰ nodes. A few are fine.
    const chain = (length: number, times: number, reversed = false): Buffer => {
      const functions = Array.from({ length }, (_, at) => {
        const node = at === length - 1 ? bytes(4, 'Identity') : Buffer.concat([bytes(4, `F${String(at + 1)}`), bytes(7, 'own')])
        return bytes(
          25,
          Buffer.concat([bytes(1, `F${String(at)}`), bytes(10, 'own'), ...Array.from({ length: times }, () => bytes(7, node))]),
        )
      })
      return Buffer.concat([graph, ...(reversed ? functions.reverse() : functions)])
    }
    for (const reversed of [false, true]) {
      await assert.rejects(load(chain(3000, 1, reversed)), { code: 'MODEL_INVALID', message: /nest deeper/ })
      await assert.rejects(load(chain(30, 2, reversed)), { code: 'MODEL_INVALID', message: /more than 1000000 nodes/ })
    }
    await assert.rejects(load(Buffer.concat([graph, circle])), { code: 'MODEL_INVALID', message: /are recursive/ })
  })

  test('cut anywhere or of noise is refused', async () => {
    for (const length of [0, 1, 100, 1000, graph.length - 1])
      await assert.rejects(load(graph.subarray(0, length)), { code: /^MODEL_(INVALID|UNSUPPORTED)$/ })
    await assert.rejects(load(Buffer.from('noise'.repeat(100))), { code: 'MODEL_INVALID' })
  })
})
