// Number formats, quantization and the two file formats' building blocks, by their definitions.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bfloat16FromFloat32, float16FromFloat32, float32FromBfloat16, float32FromFloat16 } from '../../lib/convert/number-formats.js'
import { ProtobufWriter } from '../../lib/convert/protobuf-writer.js'
import { relativeBuckets } from '../../lib/convert/weight-layout.js'
import { quantizeMatrix } from '../../lib/convert/weight-precision.js'

const bits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] as number
const fromBits = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0] as number
const bf16 = (value: number): number => bfloat16FromFloat32(Float32Array.of(value))[0] as number

describe('bfloat16', () => {
  test('rounds to nearest', () => {
    assert.equal(bf16(1), 0x3f80)
    assert.equal(bf16(fromBits(0x3f80_7fff)), 0x3f80)
    assert.equal(bf16(fromBits(0x3f80_8001)), 0x3f81)
    assert.equal(bf16(-1.5), 0xbfc0)
  })

  test('breaks ties to even', () => {
    assert.equal(bf16(fromBits(0x3f80_8000)), 0x3f80)
    assert.equal(bf16(fromBits(0x3f81_8000)), 0x3f82)
  })

  test('keeps zeros, infinities and NaN', () => {
    assert.deepEqual([0, -0, Infinity, -Infinity].map(bf16), [0, 0x8000, 0x7f80, 0xff80])
    assert.ok(Number.isNaN(float32FromBfloat16(Uint16Array.of(bf16(fromBits(0x7f80_0001))))[0]))
  })

  test('gives the nearest of all bfloat16 numbers', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e38), max: Math.fround(1e38) }), (value) => {
        const pattern = bf16(value)
        const near = [pattern - 1, pattern, pattern + 1].map((each) => float32FromBfloat16(Uint16Array.of(each))[0] as number)
        const error = Math.abs((near[1] as number) - value)
        assert.ok(near.every((other) => !Number.isFinite(other) || Math.abs(other - value) >= error))
      }),
    )
  })

  test('widens exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), (pattern) => {
        const value = float32FromBfloat16(Uint16Array.of(pattern))[0] as number
        if (!Number.isNaN(value)) assert.equal(bits(value), pattern * 65536)
      }),
    )
  })
})

test('float16 is widened by its definition', () => {
  const patterns = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x0000, 0x7c00, 0xfc00]
  const values = [1, -2, 65504, 2 ** -14, 2 ** -24, -(1023 / 1024) * 2 ** -14, 0, Infinity, -Infinity]
  assert.deepEqual([...float32FromFloat16(Uint16Array.from(patterns))], values)
  assert.ok(Number.isNaN(float32FromFloat16(Uint16Array.of(0x7e00))[0]))
})

describe('quantization', () => {
  test('gives each column its scale, and ties go to even', () => {
    const { quantized, scales } = quantizeMatrix(Float32Array.of(63, 126, 0, 0.5, 1, 0, 1.5, -126, 0), 3, 'columns', 63)
    assert.deepEqual([...scales], [1, 2, 1])
    assert.deepEqual([...quantized], [63, 63, 0, 0, 0, 0, 2, -63, 0])
  })

  test('gives each row its scale', () => {
    const { quantized, scales } = quantizeMatrix(Float32Array.of(127, -1, 254, 254), 2, 'rows', 127)
    assert.deepEqual([...scales], [1, 2])
    assert.deepEqual([...quantized], [127, -1, 127, 127])
  })

  test('is off by half a step at most and stays in range', () => {
    const values = fc.float32Array({ minLength: 12, maxLength: 12, noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 })
    fc.assert(
      fc.property(values, fc.constantFrom(63, 127), (matrix, maximum) => {
        const { quantized, scales } = quantizeMatrix(matrix, 4, 'columns', maximum)
        for (const [index, value] of matrix.entries()) {
          const scale = scales[index % 4] as number
          const integer = quantized[index] as number
          assert.ok(Math.abs(integer) <= maximum)
          assert.ok(Math.abs(integer * scale - value) <= scale * 0.5001 + 1e-30)
        }
      }),
    )
  })
})

describe('protobuf', () => {
  const hex = (build: (writer: ProtobufWriter) => ProtobufWriter): string =>
    Buffer.from(build(new ProtobufWriter()).finish()).toString('hex')

  test('writes the examples of the format description', () => {
    assert.equal(
      hex((writer) => writer.integer(1, 150)),
      '089601',
    )
    assert.equal(
      hex((writer) => writer.string(2, 'testing')),
      '120774657374696e67',
    )
    assert.equal(
      hex((writer) => writer.message(3, (nested) => nested.integer(1, 150))),
      '1a03089601',
    )
  })

  test('writes negative integers in ten bytes, floats in four, and tags above fifteen in two', () => {
    assert.equal(
      hex((writer) => writer.integer(1, -1)),
      '08ffffffffffffffffff01',
    )
    assert.equal(
      hex((writer) => writer.float(2, 1)),
      '150000803f',
    )
    assert.equal(
      hex((writer) => writer.integer(20, 1)),
      'a00101',
    )
    assert.equal(
      hex((writer) => writer.integer(1, 2 ** 40)),
      '08808080808020',
    )
  })
})

describe('float16', () => {
  const half = (value: number): number => float16FromFloat32(Float32Array.of(value))[0] as number
  const widen = (pattern: number): number => float32FromFloat16(Uint16Array.of(pattern))[0] as number

  test('comes back from its own widening, every pattern', () => {
    for (let pattern = 0; pattern < 0x10000; pattern++) {
      const value = widen(pattern)
      if (!Number.isNaN(value)) assert.equal(half(value), pattern)
    }
    assert.ok(Number.isNaN(widen(half(NaN))))
  })

  test('is the nearest one, and of two the even one', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: Math.fround(-65519), max: Math.fround(65519) }), (value) => {
        const pattern = half(value)
        const error = Math.abs(widen(pattern) - value)
        for (const other of [pattern - 1, pattern + 1].filter((each) => Number.isFinite(widen(each & 0xffff)))) {
          const distance = Math.abs(widen(other & 0xffff) - value)
          assert.ok(error < distance || (error === distance && pattern % 2 === 0))
        }
      }),
      { numRuns: 2000 },
    )
    assert.deepEqual([65519, 65520, 1e9, -Infinity, 2 ** -25, 3 * 2 ** -25].map(half), [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 2])
  })
})

describe('buckets of distances', () => {
  // Of transformers' MPNetEncoder.relative_position_bucket: where each of the 32 buckets begins.
  const begins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]

  test('are those of the reference on both sides', () => {
    const buckets = relativeBuckets(512, 32)
    assert.equal(buckets.length, 1023)
    for (let distance = 0; distance < 512; distance++) {
      const expected = begins.findLastIndex((begin) => begin <= distance)
      assert.equal(buckets[511 - distance], expected)
      assert.equal(buckets[511 + distance], expected + (distance === 0 ? 0 : 16))
    }
  })
})
