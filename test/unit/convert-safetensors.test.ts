// The safetensors reader and writer: round trips, and headers made to mislead.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { GabionError, type GabionErrorCode } from '../../lib/errors.js'
import { SafetensorsReader } from '../../lib/convert/safetensors-reader.js'
import { writeSafetensors, type TensorToWrite } from '../../lib/convert/safetensors-writer.js'

let folder: string
let files = 0
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-safetensors-'))
})
after(() => rm(folder, { recursive: true }))
const newFile = (): string => join(folder, `${String(files++)}.safetensors`)

const bytesOf = (array: Float32Array | Uint16Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
const tensor = (name: string, type: TensorToWrite['type'], shape: number[], bytes: Uint8Array, pieces = 1): TensorToWrite => ({
  name,
  type,
  shape,
  chunks: function* () {
    const size = Math.ceil(bytes.length / pieces)
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  },
})

describe('a written file', () => {
  const floats = Float32Array.of(1, -2, 3.5, 4, 5, 6)
  const halves = Uint16Array.of(0x3f80, 0xc000, 0x0000)

  test('is read back, by row too', async () => {
    const file = newFile()
    await writeSafetensors(file, [tensor('b', 'BF16', [3], bytesOf(halves)), tensor('a', 'F32', [3, 2], bytesOf(floats), 5)], {
      format: 'x',
    })
    const reader = await SafetensorsReader.open(file)
    assert.deepEqual({ ...reader.metadata }, { format: 'x' })
    const [a, b] = [reader.require('a', [3, 2]), reader.require('b', [3])]
    assert.deepEqual([...(await reader.read(a))], [...floats])
    assert.deepEqual([...(await reader.read(a, { first: 1, count: 2 }))], [3.5, 4, 5, 6])
    assert.deepEqual([...(await reader.read(b))], [1, -2, 0])
    await reader.close()
  })

  test('begins its tensors at a page, wide elements first, and reports offsets, size and hash', async () => {
    const file = newFile()
    const progress: number[][] = []
    const tensors = [tensor('b', 'BF16', [3], bytesOf(halves)), tensor('a', 'F32', [3, 2], bytesOf(floats))]
    const written = await writeSafetensors(file, tensors, {}, (...counts) => progress.push(counts))
    const content = await readFile(file)
    assert.deepEqual([written.tensors.get('a')?.offset, written.tensors.get('b')?.offset], [4096, 4120])
    assert.equal(written.bytes, content.length)
    assert.equal(written.sha256, createHash('sha256').update(content).digest('hex'))
    assert.deepEqual(progress.at(-1), [content.length, content.length])
    assert.deepEqual(content.subarray(4096, 4120), Buffer.from(bytesOf(floats)))
  })

  test('with a value that is not finite is refused by name', async () => {
    const file = newFile()
    await writeSafetensors(file, [tensor('weights', 'F32', [2], bytesOf(Float32Array.of(1, NaN)))], {})
    const reader = await SafetensorsReader.open(file)
    await assert.rejects(reader.read(reader.require('weights', [2])), { code: 'MODEL_INVALID', message: /'weights'.*not finite/ })
    await reader.close()
  })

  test('gives an integer tensor only its place', async () => {
    const file = newFile()
    await writeSafetensors(file, [tensor('ids', 'I64', [1], new Uint8Array(8))], {})
    const reader = await SafetensorsReader.open(file)
    await assert.rejects(reader.read(reader.require('ids', [1])), { code: 'MODEL_UNSUPPORTED', message: /'ids' has the type I64/ })
    assert.throws(() => reader.require('ids', [1, 1]), { code: 'MODEL_INVALID', message: /shape \[1, 1\], has \[1\]/ })
    assert.throws(() => reader.require('other', [1]), { code: 'MODEL_UNSUPPORTED', message: /no tensor 'other'/ })
    await reader.close()
  })
})

/** A file of a header and that many bytes of weights. */
async function fileWith(header: unknown, dataBytes: number, claimed?: bigint): Promise<string> {
  const file = newFile()
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(json.length))
  await writeFile(file, Buffer.concat([length, json, Buffer.alloc(dataBytes)]))
  return file
}

async function refusal(file: string): Promise<GabionError> {
  const error: unknown = await SafetensorsReader.open(file).then((reader) => reader.close(), (reason: unknown) => reason) // prettier-ignore
  assert.ok(error instanceof GabionError, `accepted, or failed otherwise: ${String(error)}`)
  return error
}

describe('a hostile header', () => {
  const f32 = (shape: unknown, ...offsets: unknown[]): unknown => ({ dtype: 'F32', shape, data_offsets: offsets })
  const cases: [what: string, header: unknown, bytes: number, message: RegExp, code?: GabionErrorCode][] = [
    ['that is no JSON', '{"a":', 8, /header is not JSON/],
    ['that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1'), 8, /not a JSON object/],
    ['that is a list', [], 8, /not a JSON object/],
    ['whose tensor is null', { a: null }, 8, /'a' is not described/],
    ['without dtype', { a: { shape: [1], data_offsets: [0, 4] } }, 4, /no dtype/],
    ['with an unknown dtype', { a: { dtype: 'F4', shape: [2], data_offsets: [0, 1] } }, 1, /unknown dtype 'F4'/, 'MODEL_UNSUPPORTED'],
    ['with an inherited dtype', { a: { dtype: 'toString', shape: [2], data_offsets: [0, 1] } }, 1, /unknown dtype/, 'MODEL_UNSUPPORTED'],
    ['with a negative size', { a: f32([-1, -1], 0, 4) }, 4, /list of sizes/],
    ['with a size that is no integer', { a: f32([0.5], 0, 2) }, 2, /list of sizes/],
    ['with a size as text', { a: f32(['1'], 0, 4) }, 4, /list of sizes/],
    ['with a product beyond all integers', { a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4, /needs/],
    ['with one offset', { a: f32([1], 0) }, 4, /pair of data_offsets/],
    ['with a negative offset', { a: f32([1], -4, 0) }, 4, /pair of data_offsets/],
    ['with offsets in the wrong order', { a: f32([1], 4, 0) }, 4, /is at 4…0/],
    ['with an offset beyond the file', { a: f32([2], 0, 8) }, 4, /0…8 of 4 bytes/],
    ['with a shape that does not fit the offsets', { a: f32([2], 0, 4) }, 4, /needs 8 bytes, has 4/],
    ['with overlapping tensors', { a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12, /'b' overlaps/],
    ['with a hole', { a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12, /4 bytes before tensor 'b'/],
    ['with bytes left over', { a: f32([1], 0, 4) }, 5, /1 bytes at its end/],
    ['with metadata that is no text', { __metadata__: { a: 1 } }, 0, /field 'a' is not a string/],
    ['with metadata that is no object', { __metadata__: 'a' }, 0, /__metadata__ is not an object/],
  ]
  for (const [what, header, bytes, message, code] of cases) {
    test(`${what} is refused`, async () => {
      const error = await refusal(await fileWith(header, bytes))
      assert.equal(error.code, code ?? 'MODEL_INVALID')
      assert.match(error.message, message)
    })
  }

  test('longer than the file, or than anything sensible, is refused without being read', async () => {
    assert.match((await refusal(await fileWith({}, 0, 100n))).message, /claims 100 bytes, the file has 10/)
    assert.match((await refusal(await fileWith({}, 0, 2n ** 64n - 1n))).message, /more than 100000000/)
  })

  test('of a file that ends before it is refused', async () => {
    const file = newFile()
    await writeFile(file, Buffer.alloc(7))
    assert.match((await refusal(file)).message, /only 7 bytes/)
    assert.equal((await refusal(newFile())).code, 'MODEL_NOT_FOUND')
  })

  test('of any JSON is either accepted or refused with a code', async () => {
    const entry = fc.record({
      dtype: fc.constantFrom('F32', 'BF16', 'I8', 'X', 1),
      shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 3 }), fc.jsonValue()),
      data_offsets: fc.oneof(fc.tuple(fc.integer({ min: -1, max: 16 }), fc.integer({ min: -1, max: 16 })), fc.jsonValue()),
    })
    const header = fc.oneof(fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue()), { maxKeys: 3 }), fc.jsonValue())
    await fc.assert(
      fc.asyncProperty(header, fc.integer({ min: 0, max: 16 }), async (json, bytes) => {
        const file = await fileWith(json, bytes)
        const reader = await SafetensorsReader.open(file).catch((error: unknown) => error)
        if (reader instanceof SafetensorsReader) {
          const covered = [...reader.tensors.values()].reduce((sum, stored) => sum + stored.byteLength, 0)
          assert.equal(covered, bytes)
          await reader.close()
        } else assert.ok(reader instanceof GabionError)
        await rm(file)
      }),
    )
  })
})

describe('what only old files have', () => {
  test('names of norms are read under their present names', async () => {
    const file = newFile()
    const ones = bytesOf(Float32Array.of(1, 2))
    const names = ['a.LayerNorm.gamma', 'LayerNorm.beta', 'gamma']
    await writeSafetensors(
      file,
      names.map((name) => tensor(name, 'F32', [2], ones)),
      {},
    )
    const reader = await SafetensorsReader.open(file)
    assert.deepEqual([...reader.tensors.keys()].sort(), ['LayerNorm.bias', 'a.LayerNorm.weight', 'gamma'])
    assert.deepEqual([...(await reader.read(reader.require('a.LayerNorm.weight', [2])))], [1, 2])
    await reader.close()
  })

  test('doubles are read as floats', async () => {
    const file = newFile()
    const header = Buffer.from(JSON.stringify({ a: { dtype: 'F64', shape: [2], data_offsets: [0, 16] } }))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    await writeFile(file, Buffer.concat([length, header, Buffer.from(Float64Array.of(0.1, -2).buffer)]))
    const reader = await SafetensorsReader.open(file)
    assert.deepEqual([...(await reader.read(reader.require('a', [2])))], [Math.fround(0.1), -2])
    await reader.close()
  })
})
