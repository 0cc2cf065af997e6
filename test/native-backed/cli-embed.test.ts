import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { readNpy } from '../../lib/files/npy-file.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Projection } from '../../lib/projection/projection.js'
import { assertRefused, gabion, jsonLines, temporaryFolder } from './cli-process.js'

const TEXTS = ['How do I reset my password?', '', 'Ärger mit dem Gerät 🙂', 'two\u2028lines in one', 'word '.repeat(400).trim()]

async function reference(texts: readonly string[]): Promise<Float32Array> {
  using embedder = await Embedder.load({ cache: false })
  return (await embedder.embedBatch(texts)).data
}

describe('gabion embed', () => {
  const folder = temporaryFolder()
  const file = join(folder, 'texts.txt')
  writeFileSync(file, TEXTS.map((text) => `${text}\n`).join(''))

  test('writes one JSON line a text, with the library’s own vectors to the last bit', async () => {
    const { code, stdout, stderr } = await gabion(['embed', '--', ...TEXTS])
    assert.equal(code, 0, stderr)
    const lines = jsonLines(stdout)
    assert.deepEqual(
      lines.map((line) => Object.keys(line)),
      TEXTS.map(() => ['index', 'tokens', 'truncated', 'embedding', 'projected']),
    )
    assert.deepEqual(
      lines.map((line) => [line.index, line.truncated, line.projected]),
      TEXTS.map((_, index) => [index, index === 4, null]),
    )
    assert.deepEqual(lines.map((line) => line.tokens).slice(0, 2), [9, 2])
    assert.equal(lines[4]?.tokens, 402)
    assert.deepEqual(Float32Array.from(lines.flatMap((line) => line.embedding as number[])), await reference(TEXTS))
    assert.match(stderr, /^1 text longer than 256 tokens: truncated/)
  })

  test('reads a file, and standard input, a text a line', async () => {
    const [fromFile, fromPipe] = await Promise.all([
      gabion(['embed', '--json', '--input', file]),
      gabion(['embed', '--json', '--quiet', '--input', '-'], { stdin: TEXTS.join('\n') }),
    ])
    assert.equal(jsonLines(fromFile.stdout).length, TEXTS.length)
    assert.equal(fromPipe.stdout, fromFile.stdout)
    assert.equal(fromPipe.stderr, '')
  })

  test('reads JSON lines', async () => {
    const stdin = TEXTS.map((text, id) => `${JSON.stringify({ id, text })}\n`).join('')
    const [lines, plain] = await Promise.all([gabion(['embed', '--input', '-'], { stdin }), gabion(['embed', '--input', file])])
    assert.equal(lines.stdout, plain.stdout)
  })

  test('--out and --project write matrices that come back as the library gives them', async () => {
    const saved = join(folder, 'plane.json')
    const vectors = { rows: TEXTS.length, dimensions: 384, data: await reference(TEXTS) }
    await Projection.fitPca(vectors, { components: 2 }).save(saved)
    const out = join(folder, 'vectors.npy')
    const { code, stdout, stderr } = await gabion(['embed', '--input', file, '--out', out, '--project', saved])
    assert.equal(code, 0, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, /vectors\.npy: 5 × 384, all-MiniLM-L6-v2/)
    assert.deepEqual(await readNpy(out), vectors)
    const points = await readNpy(join(folder, 'vectors.projected.npy'))
    assert.deepEqual([points.rows, points.dimensions], [5, 2])

    const lines = jsonLines((await gabion(['embed', '--json', '--input', file, '--project', saved])).stdout)
    assert.deepEqual(Float32Array.from(lines.flatMap((line) => line.projected as number[])), points.data)
    const [written] = jsonLines((await gabion(['embed', '--json', '--input', file, '--out', out])).stdout)
    assert.deepEqual([written?.file, written?.rows, written?.dimensions, written?.truncated], [out, 5, 384, 1])
  })

  test('--dimensions cuts vectors, and --prompt puts one of the model’s own before the texts', async () => {
    const text = 'How do I reset my password?'
    using embedder = await Embedder.load({ cache: false })
    const [line] = jsonLines((await gabion(['embed', '--dimensions', '32', text])).stdout)
    assert.deepEqual(Float32Array.from(line?.embedding as number[]), await embedder.embed(text, { dimensions: 32 }))
    assertRefused(
      await gabion(['embed', '--dimensions', '385', text]),
      2,
      /INVALID_ARGUMENT: dimensions must be an integer from 1 to 384, got 385/,
    )

    const model = ['--model', fileURLToPath(new URL('../fixtures/family/prompt-lower', import.meta.url)), '--json']
    const env = { GABION_CACHE: join(folder, 'cache') }
    const vectorOf = async (...args: string[]): Promise<unknown> =>
      jsonLines((await gabion(['embed', ...model, ...args], { env })).stdout)[0]?.embedding
    const written = await vectorOf('--prompt', '', `Query: ${text}`)
    assert.equal((written as number[]).length, 32)
    assert.deepEqual(await vectorOf('--prompt', 'query', text), written)
    assert.notDeepEqual(await vectorOf('--prompt', 'document', text), written)
    assertRefused(
      await gabion(['embed', ...model, '--prompt', 'passage', text], { env }),
      2,
      /prompt must be one of \["document","query"\] or '', got "passage"/,
    )
  })

  test('a broken line is named, and leaves no file behind', async () => {
    const place = temporaryFolder()
    const stdin = '{"text": "one"}\n{"text": 2}\n'
    assertRefused(
      await gabion(['embed', '--input', '-', '--out', join(place, 'v.npy')], { stdin }),
      2,
      /standard input: line 2 has a field 'text' of type number/,
    )
    assert.deepEqual(readdirSync(place), [])
  })

  test('a projection of other vectors is refused', async () => {
    const saved = join(folder, 'other.json')
    const data = Float32Array.from({ length: 30 }, (_, index) => Math.sin(index))
    await Projection.fitPca({ rows: 10, dimensions: 3, data }, { components: 2 }).save(saved)
    assertRefused(await gabion(['embed', 'x', '--project', saved]), 2, /PROJECTION_MISMATCH: .*3 dimensions.*384/)
  })

  test('a reader that leaves early ends it quietly with 141', async () => {
    const many = join(folder, 'many.txt')
    writeFileSync(many, Array.from({ length: 3000 }, (_, index) => `text number ${String(index)}\n`).join(''))
    const { code, stderr } = await gabion(['embed', '--input', many], {
      watch: (child) => {
        child.stdout?.once('data', () => child.stdout?.destroy())
      },
    })
    assert.deepEqual({ code, stderr }, { code: 141, stderr: '' })
  })

  test('Ctrl-C ends it with 130 and leaves no file behind', async () => {
    const place = temporaryFolder()
    const { code, stdout, stderr } = await gabion(['embed', '--input', '-', '--out', join(place, 'v.npy')], {
      watch: (child) => {
        child.stdin?.write('a text that comes first\n')
        const timer = setInterval(() => {
          // The file in the making shows that the work has begun.
          if (readdirSync(place).length === 0) return
          clearInterval(timer)
          child.kill('SIGINT')
        }, 50)
      },
    })
    assert.deepEqual({ code, stdout, stderr }, { code: 130, stdout: '', stderr: 'interrupted\n' })
    assert.deepEqual(readdirSync(place), [])
  })
})

describe('gabion pca', () => {
  const folder = temporaryFolder()
  const file = join(folder, 'sentences.txt')
  const sentences = Array.from(
    { length: 12 },
    (_, index) => `Sentence ${String(index)} is about ${['rain', 'tea', 'trains'][index % 3] ?? ''}.`,
  )
  writeFileSync(file, sentences.join('\n'))
  const saved = join(folder, 'plane.pca.json')

  test('fit on texts saves the model with the map; inspect and apply read it', async () => {
    const fit = await gabion(['pca', 'fit', '--input', file, '--components', '3', '--out', saved])
    assert.equal(fit.code, 0, fit.stderr)
    assert.match(fit.stdout, /384 → 3 components, fitted on 12 vectors, \d+\.\d% of the variance kept/)
    const projection = await Projection.load(saved)
    assert.equal(projection.model?.name, 'all-MiniLM-L6-v2')

    const [inspected] = jsonLines((await gabion(['pca', 'inspect', '--json', saved])).stdout)
    assert.deepEqual([inspected?.id, inspected?.components, inspected?.dimensions], [projection.id, 3, 384])
    const shown = (await gabion(['pca', 'inspect', saved])).stdout
    assert.match(shown, /all-MiniLM-L6-v2/)
    assert.match(shown, /fitted on +12 vectors/)

    const lines = jsonLines((await gabion(['pca', 'apply', '--projection', saved, '--', ...sentences])).stdout)
    assert.deepEqual(Object.keys(lines[0] ?? {}), ['index', 'tokens', 'truncated', 'projected'])
    const expected = await reference(sentences)
    for (const [row, line] of lines.entries()) {
      const point = projection.apply(expected.subarray(row * 384, (row + 1) * 384))
      for (const [component, value] of (line.projected as number[]).entries()) assert.ok(Math.abs(value - (point[component] ?? 0)) < 1e-6)
    }
  })

  test('fit and apply take vectors of a .npy file, without a model', async () => {
    const [vectors, map, points] = [join(folder, 'v.npy'), join(folder, 'npy.pca.json'), join(folder, 'p.npy')]
    await gabion(['embed', '--input', file, '--out', vectors])
    const fit = await gabion(['pca', 'fit', '--input', vectors, '--components', '2', '--out', map, '--json'])
    const [fitted] = jsonLines(fit.stdout)
    assert.deepEqual([fitted?.file, fitted?.components, fitted?.model], [map, 2, null])
    const applied = await gabion(['pca', 'apply', '--projection', map, '--input', vectors, '--out', points])
    assert.equal(applied.code, 0, applied.stderr)
    const matrix = await readNpy(points)
    assert.deepEqual([matrix.rows, matrix.dimensions], [12, 2])
  })

  test('too many components, a damaged map and vectors of another width are refused', async () => {
    assertRefused(
      await gabion(['pca', 'fit', '--input', file, '--components', '13', '--out', join(folder, 'x')]),
      2,
      /components must be at most 12/,
    )
    const damaged = join(folder, 'damaged.json')
    writeFileSync(damaged, '{"format": "gabion-projection"')
    assertRefused(await gabion(['pca', 'inspect', damaged]), 2, /ARTIFACT_INVALID: .*damaged\.json is not a projection/)
    const narrow = join(folder, 'narrow.pca.json')
    const data = Float32Array.from({ length: 30 }, (_, index) => Math.cos(index))
    await Projection.fitPca({ rows: 10, dimensions: 3, data }, { components: 2 }).save(narrow)
    assertRefused(await gabion(['pca', 'apply', '--projection', narrow, 'text']), 2, /PROJECTION_MISMATCH/)
  })
})
