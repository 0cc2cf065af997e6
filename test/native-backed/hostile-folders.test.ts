// Broken or malicious folders: each gives a coded error with the reason, and never a crash.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { Embedder } from '../../lib/embedding/embedder.js'
import { GabionError, type GabionErrorCode } from '../../lib/errors.js'
import { bundledFolder, KNOWN_MODELS } from '../../lib/models/index.js'

const family = fileURLToPath(new URL('../fixtures/family', import.meta.url))
const savedCache = process.env.GABION_CACHE
let place: string
let model: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'gabion-hostile-'))
  process.env.GABION_CACHE = join(place, 'cache')
})
after(async () => {
  if (savedCache === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
  else process.env.GABION_CACHE = savedCache
  await rm(place, { recursive: true })
})
beforeEach(async () => {
  model = join(place, 'model')
  await rm(model, { recursive: true, force: true })
  await cp(join(family, 'xlm-roberta'), model, { recursive: true, filter: (file) => !file.includes('golden') })
})

async function load(): Promise<void> {
  using embedder = await Embedder.load({ model, precision: 'fp32' })
  assert.ok((await embedder.embed('Ein Text, один текст')).every(Number.isFinite))
}
const refuse = (code: GabionErrorCode, message: RegExp): Promise<void> => assert.rejects(load(), { code, message })

async function change(name: string, edit: (fields: Record<string, unknown>) => void): Promise<void> {
  const fields = JSON.parse(await readFile(join(model, name), 'utf8')) as Record<string, unknown>
  edit(fields)
  await writeFile(join(model, name), JSON.stringify(fields))
}

/** Changes the header of the weights, which keeps its length. */
async function changeHeader(edit: (header: Record<string, { data_offsets: [number, number]; shape: number[] }>) => void): Promise<void> {
  const file = join(model, 'model.safetensors')
  const bytes = await readFile(file)
  const length = Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Parameters<typeof edit>[0]
  edit(header)
  const json = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([json, Buffer.alloc(Math.max(0, length - json.length), ' ')])
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(padded.length))
  await writeFile(file, Buffer.concat([size, padded, bytes.subarray(8 + length)]))
}

describe('a folder', () => {
  test('as it was made loads', () => load())

  for (const name of ['modules.json', 'config.json', 'tokenizer.json', '1_Pooling/config.json', 'model.safetensors']) {
    test(`without ${name}`, async () => {
      await rm(join(model, name))
      await refuse('MODEL_NOT_FOUND', new RegExp(name.replaceAll('.', '\\.')))
    })
    if (name.endsWith('.json')) {
      test(`with a ${name} that is cut short`, async () => {
        await truncate(join(model, name), Math.floor((await stat(join(model, name))).size / 2))
        await refuse('MODEL_INVALID', new RegExp(`${name.replaceAll('.', '\\.')} is not JSON`))
      })
    }
  }

  test('with weights that are cut short', async () => {
    await truncate(join(model, 'model.safetensors'), 100_000)
    await refuse('MODEL_INVALID', /is at \d+…\d+ of \d+ bytes of weights/)
  })

  test('with a header that lies about offsets', async () => {
    await changeHeader((header) => {
      const entry = header['embeddings.LayerNorm.bias'] ?? assert.fail()
      entry.data_offsets = [entry.data_offsets[0] + 4, entry.data_offsets[1] + 4]
    })
    await refuse('MODEL_INVALID', /overlaps|belong to no tensor/)
  })

  test('with a header that lies about shapes', async () => {
    await changeHeader((header) => {
      const entry = header['embeddings.LayerNorm.bias'] ?? assert.fail()
      entry.shape = [31]
    })
    await refuse('MODEL_INVALID', /of shape \[31\] and type F32 needs 124 bytes, has 128/)
  })

  test('with weights that are not numbers', async () => {
    const file = join(model, 'model.safetensors')
    const bytes = await readFile(file)
    const start = 8 + Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, { data_offsets: [number, number] }>
    bytes.writeFloatLE(NaN, start + (header['encoder.layer.1.output.dense.weight']?.data_offsets[0] ?? assert.fail()))
    await writeFile(file, bytes)
    await refuse('MODEL_INVALID', /'encoder\.layer\.1\.output\.dense\.weight' holds a value that is not finite/)
  })

  test('with a wrong vocabulary size', async () => {
    await change('config.json', (fields) => (fields.vocab_size = (fields.vocab_size as number) + 1))
    await refuse('MODEL_INVALID', /word_embeddings\.weight' must have the shape/)
  })

  test('with a tokenizer of another model that has more tokens', async () => {
    await cp(join(bundledFolder(KNOWN_MODELS[0] ?? assert.fail()), 'tokenizer.json'), join(model, 'tokenizer.json'))
    await refuse('MODEL_INVALID', /'vocab_size' must be above 30521, the highest id.*another model/)
  })

  test('with a tokenizer of another model that has fewer tokens', async () => {
    await change('tokenizer.json', (fields) => {
      const { vocab } = fields.model as { vocab: unknown[] }
      vocab.splice(300)
      fields.added_tokens = (fields.added_tokens as { id: number }[]).filter(({ id }) => id < 300)
    })
    await refuse('MODEL_INVALID', /'vocab_size' must be near 300, the tokens of tokenizer\.json.*another model/)
  })

  test('with a tokenizer whose padding is another token', async () => {
    await change('tokenizer.json', (fields) => {
      for (const entry of fields.added_tokens as { id: number; content: string }[]) if (entry.content === '<pad>') entry.id = 3
    })
    await refuse('MODEL_INVALID', /pad_token_id.*another model/)
  })

  test('with a tokenizer.json that is JSON and no tokenizer', async () => {
    await change('tokenizer.json', (fields) => (fields.model = { type: 'Unigram', unk_id: 999, vocab: [] }))
    await assert.rejects(load(), (error) => error instanceof GabionError && /^(MODEL_INVALID|TOKENIZER_FAILED)$/.test(error.code))
  })

  test('with pickled weights alone', async () => {
    await rename(join(model, 'model.safetensors'), join(model, 'pytorch_model.bin'))
    await refuse('MODEL_UNSUPPORTED', /only in pytorch_model\.bin: a pickle, which can run any code.*save it again/)
  })
})

describe('a folder changed at random', () => {
  test('loads or is refused with a code', async () => {
    const names = (await readdir(model, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
    const originals = new Map(await Promise.all(names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(name)])))
    const damage = fc.record({
      file: fc.constantFrom(...names),
      changes: fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), {
        minLength: 1,
        maxLength: 4,
      }),
      cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(damage, async ({ file, changes, cut }) => {
        const original = originals.get(file) as Buffer
        const bytes = Buffer.from(original)
        for (const [at, value] of changes) bytes[Math.floor(at * bytes.length)] = value
        await writeFile(file, cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length)))
        try {
          const error: unknown = await load().catch((thrown: unknown) => thrown)
          assert.ok(error === undefined || error instanceof GabionError, `${file}: ${String(error)}`)
          assert.ok(!(error instanceof GabionError) || error.code !== 'INTERNAL', String(error))
        } finally {
          await writeFile(file, original)
        }
      }),
      { numRuns: 60 },
    )
  })
})
