import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { readLines } from '../../lib/files/lines.js'
import { readTextsNotNumbers } from '../../lib/cli/vector-file.js'
import { NpyWriter, readNpy } from '../../lib/files/npy-file.js'
import { PendingFile, writeWhole } from '../../lib/files/pending-file.js'
import { inBatches, readTexts } from '../../lib/cli/text-source.js'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-cli-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function fileOf(content: string | Uint8Array, name = 'input.txt'): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, content)
  return file
}

describe('lines of a file', () => {
  const texts = async (file: string): Promise<string[]> => (await collect(readLines(file))).map((line) => line.text)

  test('come back as they were joined, however long and whatever they hold', async () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll(/[\r\n]/g, '\u2028'))
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1 }), fc.constantFrom('\n', '\r\n'), async (lines, end) => {
        assert.deepEqual(await texts(await fileOf(lines.map((text) => text + end).join(''))), lines)
      }),
      { numRuns: 50 },
    )
  })

  test('may be longer than a read, with characters across its border', async () => {
    const long = 'é'.repeat(100_000)
    assert.deepEqual(await texts(await fileOf(`a${long}\n${long}`)), [`a${long}`, long])
  })

  test('say where they end', async () => {
    const ends = (await collect(readLines(await fileOf(`é\r\n${'x'.repeat(70_000)}\nlast`)))).map((line) => line.end)
    assert.deepEqual(ends, [4, 70_005, 70_009])
  })

  test('an empty file has none, and a last line needs no end', async () => {
    assert.deepEqual(await texts(await fileOf('')), [])
    assert.deepEqual(await texts(await fileOf('\n')), [''])
    assert.deepEqual(await texts(await fileOf('a\n\nb')), ['a', '', 'b'])
  })

  test('a byte order mark is not part of the first one', async () => {
    assert.deepEqual(await texts(await fileOf('\ufefffirst\n\ufeffsecond\n')), ['first', '\ufeffsecond'])
  })

  test('bytes that are not UTF-8 are named', async () => {
    const file = await fileOf(Buffer.from([0x61, 0x0a, 0xff, 0xfe, 0x0a]))
    await assert.rejects(texts(file), { code: 'INVALID_ARGUMENT', message: `${file}: line 2 is not UTF-8 text` })
  })
})

describe('texts of a file', () => {
  const texts = async (file: string, format: 'auto' | 'text' | 'jsonl'): Promise<string[]> =>
    (await collect(readTexts(file, format))).map((item) => item.text)

  test('are its lines, empty ones included', async () => {
    assert.deepEqual(await texts(await fileOf('one\n\nthree\n'), 'auto'), ['one', '', 'three'])
  })

  test('are the field "text" of JSON lines, by the first line or by name', async () => {
    const lines = '{"id": 1, "text": "one"}\n\n{"text": "two\\nlines"}\n'
    assert.deepEqual(await texts(await fileOf(lines), 'auto'), ['one', 'two\nlines'])
    assert.deepEqual(await texts(await fileOf(lines, 'input.jsonl'), 'auto'), ['one', 'two\nlines'])
  })

  test('stay as they are where the format says so', async () => {
    assert.deepEqual(await texts(await fileOf('{"text": "one"}\n'), 'text'), ['{"text": "one"}'])
  })

  test('a line that is not as expected is named with its place', async () => {
    const file = await fileOf('{"text": "one"}\n{"text": 2}\n', 'wrong.jsonl')
    await assert.rejects(texts(file, 'auto'), { code: 'INVALID_ARGUMENT', message: /line 2 has a field 'text' of type number/ })
    await assert.rejects(texts(await fileOf('{"txt": "one"}\n'), 'jsonl'), { message: /line 1 has no field 'text' \(fields: txt\)/ })
    await assert.rejects(texts(await fileOf('{"text": "one"\n'), 'jsonl'), { message: /line 1 is not JSON/ })
    await assert.rejects(texts(await fileOf('[]\n'), 'jsonl'), { message: /line 1 must be an object/ })
  })

  test('are grouped by number and by size', async () => {
    const items = ['a', 'b', 'c', 'dddd', 'e'].map((text) => ({ text, end: 0 }))
    const groups = (await collect(inBatches(items, 2, 4))).map((batch) => batch.map((item) => item.text).join(' '))
    assert.deepEqual(groups, ['a b', 'c dddd', 'e'])
  })
})

describe('a text file where vectors may be meant', () => {
  const read = async (content: string, format: 'auto' | 'text' = 'auto'): Promise<string[]> => {
    const file = await fileOf(Buffer.from(content), 'rows.csv')
    const texts: string[] = []
    for await (const { text } of readTextsNotNumbers(file, format)) texts.push(text)
    return texts
  }
  const row = Array.from({ length: 16 }, (_, at) => (at / 7 - 1).toExponential()).join(',')

  test('is refused where it holds rows of numbers, with and without a header', async () => {
    for (const content of [
      row,
      row.replaceAll(',', ' '),
      row.replaceAll(',', '\t'),
      `a,b,c\n${row}\n`,
      `[${row}]`,
      `"${row.replaceAll(',', '","')}"`,
      `${row},nan,`,
      `my document,${row}`,
      `1,"[${row}]"`,
      `harbour ${row.replaceAll(',', ' ')}`,
      '0.125,-3.5',
    ])
      await assert.rejects(read(content), { code: 'INVALID_ARGUMENT', message: /row of numbers.*np\.save.*--format text/ })
    assert.deepEqual(await read(row, 'text'), [row])
  })

  test('may have texts of numbers', async () => {
    for (const texts of [
      ['42', '1, 2, 3', 'in 1, 2, 3, 4, 5, 6, 7, 8 steps', ''],
      ['3.5', '- - - - - - - - -'],
      ['scores: 0.5 1.5', 'numbers 1, 2, 3, 4, 5, 6, 7, 8'],
    ])
      assert.deepEqual(await read(texts.join('\n') + '\n'), texts)
  })

  test('is refused where it is an archive of NumPy', async () => {
    await assert.rejects(collect(readTextsNotNumbers(await fileOf('PK', 'vectors.npz'), 'auto')), {
      code: 'INVALID_ARGUMENT',
      message: /np\.load.*np\.save/,
    })
  })
})

describe('.npy files', () => {
  test('give back what was written, in however many pieces', async () => {
    const file = join(folder, 'matrix.npy')
    const matrix = fc
      .integer({ min: 1, max: 5 })
      .chain((columns) =>
        fc.tuple(
          fc.constant(columns),
          fc.array(fc.array(fc.float({ noNaN: true }), { minLength: columns, maxLength: columns }), { maxLength: 6 }),
        ),
      )
    await fc.assert(
      fc.asyncProperty(matrix, async ([columns, rows]) => {
        const writer = await NpyWriter.create(file, columns)
        for (const row of rows) await writer.append(Float32Array.from(row))
        await writer.complete()
        assert.deepEqual(await readNpy(file), { rows: rows.length, dimensions: columns, data: Float32Array.from(rows.flat()) })
      }),
      { numRuns: 50 },
    )
  })

  test('have the header that NumPy describes', async () => {
    const file = join(folder, 'header.npy')
    const writer = await NpyWriter.create(file, 2)
    await writer.append(Float32Array.of(1, 2))
    await writer.complete()
    const bytes = await readFile(file)
    const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }"
    assert.deepEqual([...bytes.subarray(0, 10)], [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
    assert.equal(bytes.toString('latin1', 10, 128), `${text.padEnd(117)}\n`)
    assert.deepEqual([...bytes.subarray(128)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40])
  })

  // What NumPy 2.3 writes of [[1, -2, 0.5], [65504, 1e-7, 3]] in each type and order; float16 has 1e-7 as 2 · 2⁻²⁴.
  const rows = [1, -2, 0.5, 65504, 1e-7, 3]
  const columns = [1, 65504, -2, 1e-7, 0.5, 3]
  const halves = new Map([
    [1, 0x3c00],
    [-2, 0xc000],
    [0.5, 0x3800],
    [65504, 0x7bff],
    [1e-7, 0x0002],
    [3, 0x4200],
  ])
  for (const [descriptor, write] of [
    ['<f2', (view: DataView, at: number, value: number) => view.setUint16(2 * at, halves.get(value) ?? 0, true)],
    ['>f2', (view: DataView, at: number, value: number) => view.setUint16(2 * at, halves.get(value) ?? 0)],
    ['<f4', (view: DataView, at: number, value: number) => view.setFloat32(4 * at, value, true)],
    ['>f4', (view: DataView, at: number, value: number) => view.setFloat32(4 * at, value)],
    ['>f8', (view: DataView, at: number, value: number) => view.setFloat64(8 * at, value)],
  ] as const) {
    for (const fortran of [false, true]) {
      test(`are read in ${descriptor}, ${fortran ? 'columns' : 'rows'} first, with bytes after the numbers`, async () => {
        const size = Number(descriptor.at(-1))
        const content = Buffer.alloc(6 * size + 4, 0xff)
        const view = new DataView(content.buffer, content.byteOffset)
        for (const [at, value] of (fortran ? columns : rows).entries()) write(view, at, value)
        const head = `{'descr': '${descriptor}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (2, 3), }\n`
        const matrix = await readNpy(await fileOf(npy(head, content), 'other.npy'))
        const expected = size === 2 ? rows.map((value) => (value === 1e-7 ? 2 ** -23 : value)) : rows
        assert.deepEqual(matrix, { rows: 2, dimensions: 3, data: Float32Array.from(expected) })
      })
    }
  }

  const npy = (dictionary: string, body: Uint8Array): Buffer => {
    const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${dictionary}`, 'latin1')
    head.writeUInt16LE(dictionary.length, 8)
    return Buffer.concat([head, body])
  }

  test('of doubles and of one dimension are read too', async () => {
    const doubles = new Uint8Array(Float64Array.of(0.5, -2).buffer)
    const file = await fileOf(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", doubles), 'row.npy')
    assert.deepEqual(await readNpy(file), { rows: 1, dimensions: 2, data: Float32Array.of(0.5, -2) })
  })

  test('that are something else, of other numbers, transposed or cut short are refused', async () => {
    const body = new Uint8Array(8)
    const refused = async (content: Uint8Array, message: RegExp): Promise<void> => {
      await assert.rejects(readNpy(await fileOf(content, 'wrong.npy')), { code: 'INVALID_ARGUMENT', message })
    }
    await refused(Buffer.from('plain text, not a matrix'), /not a \.npy file/)
    await refused(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }", body), /the file has <i8/)
    await refused(npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1), }", body), /astype\('float32'\)/)
    await refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", body), /16 bytes of numbers expected, 8 found/)
    await refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2), }", body), /expected a matrix/)
  })
})

describe('files in the making', () => {
  test('appear when complete and leave nothing when given up', async () => {
    const place = await mkdtemp(join(folder, 'pending-'))
    const file = await PendingFile.create(join(place, 'out.txt'))
    await file.append('half')
    assert.deepEqual((await readdir(place)).includes('out.txt'), false)
    await file.discard()
    assert.deepEqual(await readdir(place), [])
    await writeWhole(join(place, 'out.txt'), 'whole')
    assert.deepEqual(await readdir(place), ['out.txt'])
    assert.equal(await readFile(join(place, 'out.txt'), 'utf8'), 'whole')
  })

  test('are refused where they cannot be, or would replace a device', async () => {
    await assert.rejects(PendingFile.create(join(folder, 'missing', 'out.txt')), {
      code: 'INVALID_ARGUMENT',
      message: /cannot write .*no such file/,
    })
    await assert.rejects(PendingFile.create('/dev/null'), { code: 'INVALID_ARGUMENT', message: /not a regular file/ })
    const link = join(folder, 'link')
    await symlink('/dev/null', link)
    await assert.rejects(PendingFile.create(link), { code: 'INVALID_ARGUMENT', message: /not a regular file/ })
  })
})
