// Reading ONNX files that others have written: where weights may lie, what broken files get, and that nothing in one makes the reader
// crash or hang.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { convertModel } from '../../lib/convert/index.js'
import { OnnxCheckpoint } from '../../lib/convert/onnx-checkpoint.js'
import { readOnnxFile } from '../../lib/convert/onnx-file.js'
import { ProtobufWriter } from '../../lib/convert/protobuf-writer.js'
import { GabionError } from '../../lib/errors.js'
import { TINY, tinyCheckpoint, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-onnx-'))
})
after(() => rm(folder, { recursive: true }))

type Tensor = (writer: ProtobufWriter) => void

/** A tensor of floats with its bytes inside the file. */
function inside(name: string, shape: number[], values: Float32Array): Tensor {
  return (writer) => {
    for (const size of shape) writer.integer(1, size)
    writer
      .integer(2, 1)
      .string(8, name)
      .bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
}

/** A tensor of floats in an external data file. */
function outside(name: string, shape: number[], place: Record<string, string>): Tensor {
  return (writer) => {
    for (const size of shape) writer.integer(1, size)
    writer.integer(2, 1).string(8, name)
    for (const [key, value] of Object.entries(place)) writer.message(13, (entry) => entry.string(1, key).string(2, value))
    writer.integer(14, 1)
  }
}

function model(tensors: Tensor[], nodes: { operator: string; inputs: string[]; outputs: string[] }[] = []): Uint8Array {
  return new ProtobufWriter()
    .integer(1, 8)
    .message(7, (graph) => {
      for (const { operator, inputs, outputs } of nodes) {
        graph.message(1, (node) => {
          for (const input of inputs) node.string(1, input)
          for (const output of outputs) node.string(2, output)
          node.string(4, operator)
        })
      }
      for (const tensor of tensors) graph.message(5, tensor)
    })
    .finish()
}

let files = 0
async function write(content: Uint8Array): Promise<string> {
  const file = join(folder, `${String(files++)}.onnx`)
  await writeFile(file, content)
  return file
}

/** The tiny checkpoint as PyTorch's exporter writes it: matrices turned and without a name, found by the bias. */
function exportOfTiny(): Uint8Array {
  const tensors: Tensor[] = []
  const nodes: Parameters<typeof model>[1] = []
  for (const [name, { shape, values }] of tinyCheckpoint().tensors) {
    const [rows, columns] = shape as [number, number]
    if (!/(query|key|value|dense)\.weight$/.test(name)) {
      tensors.push(inside(`model.${name}`, shape, values))
      continue
    }
    const turned = Float32Array.from(values, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)] as number)
    tensors.push(inside(`onnx::MatMul_${String(nodes.length)}`, [columns, rows], turned))
    const [product, sum] = [`product_${String(nodes.length)}`, `sum_${String(nodes.length)}`]
    nodes.push({ operator: 'MatMul', inputs: ['x', `onnx::MatMul_${String(nodes.length)}`], outputs: [product] })
    nodes.push({ operator: 'Add', inputs: [`model.${name.replace(/weight$/, 'bias')}`, product], outputs: [sum] })
  }
  return model(tensors, nodes)
}

describe('an export', () => {
  test('gives the same bytes as the checkpoint that it was made from', async () => {
    const [fromCheckpoint, fromExport] = [join(folder, 'checkpoint'), join(folder, 'export')]
    await writeTinyFolder(fromCheckpoint, tinyCheckpoint())
    await writeTinyFolder(fromExport, tinyCheckpoint())
    await rm(join(fromExport, 'model.safetensors'))
    await mkdir(join(fromExport, 'onnx'))
    await writeFile(join(fromExport, 'onnx', 'model.onnx'), exportOfTiny())
    const first = await convertModel({ source: fromCheckpoint, out: join(folder, 'a'), precisions: ['fp32'] })
    const second = await convertModel({ source: fromExport, out: join(folder, 'b'), precisions: ['fp32'] })
    assert.deepEqual(second.graphs, first.graphs)
    assert.equal(second.source.file, 'model.onnx')
    await assert.rejects(convertModel({ source: fromExport, out: fromExport, overwrite: true }), {
      code: 'INVALID_ARGUMENT',
      message: /is the source of the conversion/,
    })
  })

  test('without an encoder, or with a fused one, is refused by name', async () => {
    await assert.rejects(OnnxCheckpoint.open(await write(model([]))), { code: 'MODEL_UNSUPPORTED', message: /no export of an encoder/ })
    const word = inside('embeddings.word_embeddings.weight', [2, 2], new Float32Array(4))
    const checkpoint = await OnnxCheckpoint.open(await write(model([word])))
    assert.throws(() => checkpoint.require('encoder.layer.0.output.dense.weight', [2, 2]), {
      code: 'MODEL_UNSUPPORTED',
      message: /no tensor 'encoder\.layer\.0.*optimizer has fused or quantized/,
    })
    assert.throws(() => checkpoint.require('embeddings.word_embeddings.weight', [TINY.vocabulary, 2]), { code: 'MODEL_INVALID' })
    await checkpoint[Symbol.asyncDispose]()
  })

  test('whose nodes go round in a circle ends', async () => {
    const nodes = [
      { operator: 'Identity', inputs: ['b'], outputs: ['embeddings.word_embeddings.weight'] },
      { operator: 'Identity', inputs: ['embeddings.word_embeddings.weight'], outputs: ['b'] },
    ]
    const checkpoint = await OnnxCheckpoint.open(await write(model([], nodes)))
    assert.equal(checkpoint.has('embeddings.word_embeddings.weight'), false)
  })

  test('with a value that is not finite is refused', async () => {
    const word = inside('embeddings.word_embeddings.weight', [1, 2], Float32Array.of(1, NaN))
    const checkpoint = await OnnxCheckpoint.open(await write(model([word])))
    await assert.rejects(checkpoint.read(checkpoint.require('embeddings.word_embeddings.weight', [1, 2])), {
      code: 'MODEL_INVALID',
      message: /not finite/,
    })
    await checkpoint[Symbol.asyncDispose]()
  })
})

describe('weights in another file', () => {
  const refuse = async (place: Record<string, string>, code: string, message: RegExp): Promise<void> =>
    assert.rejects(readOnnxFile(await write(model([outside('w', [4], place)]))), { code, message })

  test('are found beside the export, also where the hub put a link', async () => {
    await writeFile(join(folder, 'blob'), Buffer.alloc(64))
    await symlink('blob', join(folder, 'model.onnx_data'))
    const file = await write(model([outside('w', [4], { location: 'model.onnx_data', offset: '16', length: '16' })]))
    const { tensors, files: all } = await readOnnxFile(file)
    assert.deepEqual([tensors.get('w')?.offset, tensors.get('w')?.byteLength, all.length], [16, 16, 2])
  })

  for (const location of ['../blob', '/etc/passwd', 'a/../../blob', '..', '', 'a\0b']) {
    test(`at ${JSON.stringify(location)} are refused`, () => refuse({ location }, 'MODEL_INVALID', /outside the file's folder/))
  }

  test('that are missing, or shorter than the export says, are refused', async () => {
    await writeFile(join(folder, 'short'), Buffer.alloc(8))
    await refuse({ location: 'absent' }, 'MODEL_NOT_FOUND', /absent, which does not exist/)
    await refuse({ location: 'short' }, 'MODEL_INVALID', /is at 0…16 of .*short, which has 8 bytes/)
    await refuse({ location: 'short', offset: '1e9' }, 'MODEL_INVALID', /the offset or length "1e9"/)
    await refuse({ location: 'short', offset: '-8', length: '8' }, 'MODEL_INVALID', /the offset or length "-8"/)
    await refuse({ location: 'short', length: '4' }, 'MODEL_INVALID', /needs 16 bytes, has 4/)
  })
})

describe('a broken file', () => {
  const refuse = async (content: Uint8Array, message: RegExp): Promise<void> =>
    assert.rejects(readOnnxFile(await write(content)), { code: 'MODEL_INVALID', message })

  test('is refused with what is wrong', async () => {
    const whole = exportOfTiny()
    await refuse(Uint8Array.of(), /it has 0 graphs/)
    await refuse(whole.subarray(0, whole.length - 1), /bytes where \d+ are left/)
    await refuse(Uint8Array.of(0x3a, ...new Array<number>(11).fill(0xff)), /more than ten bytes/)
    await refuse(Uint8Array.of(0x0b), /wire type 3/)
    await refuse(model([inside('w', [3], new Float32Array(2))]), /needs 12 bytes, has 8/)
    await refuse(model([inside('w', [1], new Float32Array(1)), inside('w', [1], new Float32Array(1))]), /occurs twice/)
    await refuse(model([inside('w', [2 ** 52, 2 ** 52], new Float32Array(1))]), /needs/)
  })

  test('of any kind is read or refused with a code', async () => {
    const whole = exportOfTiny()
    const file = await write(whole)
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(changes, fc.option(fc.nat(whole.length)), async (bytes, length) => {
        const changed = Uint8Array.from(whole)
        for (const [at, value] of bytes) changed[at] = value
        await writeFile(file, length === null ? changed : changed.subarray(0, length))
        const found = await OnnxCheckpoint.open(file).catch((error: unknown) => error)
        if (found instanceof OnnxCheckpoint) await found[Symbol.asyncDispose]()
        else assert.ok(found instanceof GabionError, String(found))
      }),
      { numRuns: 300 },
    )
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
        await writeFile(file, bytes)
        const error: unknown = await readOnnxFile(file).catch((thrown: unknown) => thrown)
        assert.ok(!(error instanceof Error) || error instanceof GabionError, String(error))
      }),
      { numRuns: 300 },
    )
  })
})
