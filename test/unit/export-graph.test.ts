// What an ONNX file is, by its content: precision of its weights, outputs, and the one that vectors are made of.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ONNX_TYPE, OnnxGraph } from '../../lib/convert/onnx-graph.js'
import { chooseExport } from '../../lib/models/export-files.js'
import { chooseOutput, readExportGraph, type ExportGraph } from '../../lib/models/export-graph.js'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-export-graph-'))
})
after(() => rm(folder, { recursive: true }))

async function graphWith(fill: (graph: OnnxGraph) => void): Promise<ExportGraph> {
  const graph = new OnnxGraph('none')
  fill(graph)
  graph.output('last_hidden_state', ONNX_TYPE.FLOAT, [1, 'tokens', 8])
  graph.output('pooler_output', ONNX_TYPE.FLOAT, [1, 8])
  const file = join(folder, 'model.onnx')
  await writeFile(file, graph.toBytes('export', '1'))
  return readExportGraph(file)
}

describe('the precision of an export', () => {
  const weights = (graph: OnnxGraph, type: number, bytes: number, values: number): void => {
    graph.constant(`weights ${String(type)}`, type, [values], new Uint8Array(bytes * values))
  }
  for (const [type, bytes, precision] of [
    [ONNX_TYPE.FLOAT, 4, 'fp32'],
    [ONNX_TYPE.FLOAT16, 2, 'fp16'],
    [ONNX_TYPE.BFLOAT16, 2, 'bf16'],
    [ONNX_TYPE.INT8, 1, 'int8'],
    [2, 1, 'uint8'],
  ] as const) {
    test(`is ${precision} by its weights`, async () => {
      const { precision: found } = await graphWith((graph) => {
        weights(graph, type, bytes, 1000)
        // Indices are no weights, and norms stay in float.
        graph.integers('shape', [4], [1, 2, 3, 4])
        if (type !== ONNX_TYPE.FLOAT) weights(graph, ONNX_TYPE.FLOAT, 4, 10)
      })
      assert.equal(found, precision)
    })
  }

  test('is int8 where the word table stays in float', async () => {
    const { precision } = await graphWith((graph) => {
      weights(graph, ONNX_TYPE.FLOAT, 4, 1000)
      weights(graph, ONNX_TYPE.INT8, 1, 1000)
    })
    assert.equal(precision, 'int8')
  })

  for (const bits of [4, 8] as const) {
    test(`is q${String(bits)} by its operators`, async () => {
      const { precision } = await graphWith((graph) => {
        weights(graph, 2, 1, 1000)
        graph.node('product', 'MatMulNBits', ['a', 'b'], { K: 32, bits, N: 8 }, 'com.microsoft')
      })
      assert.equal(precision, `q${String(bits)}`)
    })
  }
})

test('outputs are told with their axes, and chosen by name', async () => {
  const graph = await graphWith(() => undefined)
  assert.deepEqual(graph.outputs, [
    { name: 'last_hidden_state', rank: 3 },
    { name: 'pooler_output', rank: 2 },
  ])
  assert.equal(chooseOutput(graph, false)?.name, 'last_hidden_state')
  assert.equal(chooseOutput(graph, true), null)
})

test('a file for an instruction set is taken where the processor has it', () => {
  const files = ['arm64', 'avx2', 'avx512', 'avx512_vnni'].map((set) => `onnx/model_qint8_${set}.onnx`)
  const chosen = (instructionSet: string): string | null => chooseExport(files, { instructionSet })
  assert.equal(chosen('avx512-vnni'), 'onnx/model_qint8_avx512_vnni.onnx')
  assert.equal(chosen('avx512'), 'onnx/model_qint8_avx512.onnx')
  assert.equal(chosen('avx2'), 'onnx/model_qint8_avx2.onnx')
  assert.equal(chosen('neon'), 'onnx/model_qint8_arm64.onnx')
  assert.notEqual(chosen('sse2'), null)
})
