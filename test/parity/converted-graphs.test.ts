// What converted graphs compute, run by the official onnxruntime-node and compared with plain loops over the checkpoint.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { convertModel } from '../../lib/convert/index.js'
import type { GraphPrecision } from '../../lib/models/index.js'
import { TINY, tinyCheckpoint, tinyForward, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

process.env.ORT_DISABLE_TELEMETRY = '1'
const ort = await import('onnxruntime-node')

const IDS = [[3], [1, 4, 1, 5, 9, 2, 6], Array.from({ length: TINY.positions }, (_, index) => (index * 17) % TINY.vocabulary)]

/** Largest difference between the graph's last hidden state and the reference, over all ids. */
async function worstDifference(graph: string, checkpoint = tinyCheckpoint()): Promise<number> {
  const session = await ort.InferenceSession.create(graph, { intraOpNumThreads: 1 })
  let worst = 0
  for (const ids of IDS) {
    const { last_hidden_state: output } = await session.run({
      input_ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
    })
    assert.deepEqual(output?.dims, [1, ids.length, TINY.hidden])
    const actual = output.data as Float32Array
    for (const [index, value] of tinyForward(checkpoint, ids).flat().entries())
      worst = Math.max(worst, Math.abs(value - (actual[index] as number)))
  }
  await session.release()
  return worst
}

describe('a converted graph', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-graphs-'))
  })
  after(() => rm(folder, { recursive: true }))

  const convert = async (
    name: string,
    precision: GraphPrecision,
    options: Parameters<typeof writeTinyFolder>[2] = {},
    prefix = '',
  ): Promise<string> => {
    const [source, out] = [join(folder, `${name}-source`), join(folder, name)]
    await writeTinyFolder(source, tinyCheckpoint(prefix), options)
    await convertModel({ source, out, precisions: [precision] })
    return join(out, 'onnx', `model_${precision}.onnx`)
  }

  test('in fp32 equals the checkpoint', async () => {
    assert.ok((await worstDifference(await convert('fp32', 'fp32'))) < 2e-6)
  })

  test('in bf16 equals a checkpoint whose weights bfloat16 holds exactly', async () => {
    assert.ok((await worstDifference(await convert('bf16', 'bf16'))) < 2e-6)
  })

  test('in int8 is near the checkpoint', async () => {
    const worst = await worstDifference(await convert('int8', 'int8'))
    assert.ok(worst > 1e-4 && worst < 0.25, `worst difference ${String(worst)}`)
  })

  test('comes out of a bfloat16 checkpoint as out of a float32 one', async () => {
    assert.ok((await worstDifference(await convert('from-bf16', 'fp32', { type: 'BF16' }))) < 2e-6)
  })

  test('comes out of a float16 checkpoint', async () => {
    assert.ok((await worstDifference(await convert('from-f16', 'fp32', { type: 'F16' }))) < 1e-3)
  })

  test('comes out of a checkpoint that was saved with a head', async () => {
    assert.ok((await worstDifference(await convert('prefixed', 'fp32', {}, 'bert.'))) < 2e-6)
  })
})
