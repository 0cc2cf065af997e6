// Every setting of a model folder is read or refused: one setting changed at a time, and sentence-transformers' vectors of the changed
// folder beside gabion's (test/fixtures/folder-settings, made by scripts/golden/make_settings.py).

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { agreementOf } from '../../lib/convert/vector-agreement.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { isGabionError } from '../../lib/errors.js'
import { KNOWN_SETTINGS, TRANSFORMER_FILES } from '../../lib/models/folder-settings.js'
import { inWords, readPacked } from './agreement.js'

type Change = [file: string] | [file: string, key: string] | [file: string, key: string, value: unknown]

interface Case {
  file: string
  key: string
  outcome: 'honoured' | 'refused' | 'no effect'
  base?: string
  prompt?: string
  changes: Change[]
}

interface Golden {
  texts: string[]
  /** By case; null for a setting that is refused. */
  results: ({ dimensions: number; vectors: string } | null)[]
}

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const cases = JSON.parse(await readFile(at('../fixtures/folder-settings/cases.json'), 'utf8')) as Case[]
const golden = (await readPacked(at('../fixtures/folder-settings/golden.json.gz'))) as Golden

async function apply(folder: string, [file, key, ...value]: Change | [string, string?, ...unknown[]]): Promise<void> {
  const path = join(folder, file)
  if (key === undefined) {
    await rm(path)
    return
  }
  const text = await readFile(path, 'utf8').catch(() => '{}')
  const whole = JSON.parse(text) as Record<string, unknown>
  const names = key.split('.')
  const last = names.pop() as string
  const inner = names.reduce((each, name) => each[name] as Record<string, unknown>, whole)
  if (value.length > 0) inner[last] = value[0]
  else Reflect.deleteProperty(inner, last)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, JSON.stringify(whole))
}

/** What a case sets, in words. */
function valueOf({ changes, file, key }: Case): string {
  const [last] = key.split('.').slice(-1)
  const change = changes.findLast(([name, changed]) => name === file && changed?.split('.').at(-1) === last)
  return change?.length === 3 ? JSON.stringify(change[2]) : 'left out'
}

/** sentence-transformers' results, which are in float32, and rounding. */
const BOUNDS = { cosine: 0.9999999, element: 4e-6 }

describe('a setting of a model folder', () => {
  let place: string
  const cache = process.env.GABION_CACHE
  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'gabion-settings-'))
    process.env.GABION_CACHE = join(place, 'cache')
  })
  after(async () => {
    if (cache === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
    else process.env.GABION_CACHE = cache
    await rm(place, { recursive: true })
  })

  for (const [index, each] of cases.entries()) {
    const { file, key, outcome, base = 'bert', prompt } = each
    test(`${file} ${key} ${valueOf(each)} is ${outcome} (${base}, case ${String(index)})`, async () => {
      const folder = join(place, String(index))
      await cp(at(`../fixtures/family/${base}`), folder, { recursive: true, filter: (name) => !name.includes('golden') })
      for (const change of each.changes) await apply(folder, change)
      const result = golden.results[index]
      const load = (): Promise<Embedder> => Embedder.load({ model: folder, precision: 'fp32', onTruncated: () => undefined })
      if (outcome === 'refused') {
        await assert.rejects(load(), (error) => {
          assert.ok(isGabionError(error) && error.code === 'MODEL_UNSUPPORTED', String(error))
          const last = key.split('.').at(-1) as string
          assert.ok(error.message.includes(file), error.message)
          assert.ok(error.message.includes(last), error.message)
          // Objects may be named by the part that is not supported.
          const value = valueOf(each).replaceAll('"', '')
          assert.ok(value.startsWith('{') || error.message.replaceAll('"', '').includes(value), error.message)
          return true
        })
        return
      }
      assert.ok(result !== null && result !== undefined)
      using embedder = await load()
      assert.equal(embedder.dimensions, result.dimensions)
      const bytes = Uint8Array.from(Buffer.from(result.vectors, 'base64'))
      const expected = new Float32Array(bytes.buffer)
      const options = prompt === undefined ? {} : { prompt }
      const batch = await embedder.embedBatch(golden.texts, options)
      const rows = golden.texts.map((_, row) => expected.subarray(row * result.dimensions, (row + 1) * result.dimensions))
      const agreement = agreementOf(
        rows.map((_, row) => batch.row(row)),
        rows,
      )
      assert.ok(agreement.worstCosine >= BOUNDS.cosine && agreement.worstElement <= BOUNDS.element, inWords(agreement))
      // One text alone has the same bits, also on the calling thread.
      const [first = ''] = golden.texts
      assert.deepEqual(await embedder.embed(first, options), batch.row(0))
      assert.deepEqual(embedder.embedSync(first, options), batch.row(0))
      assert.deepEqual(
        embedder.info.warnings.filter((warning) => warning.includes('does not know')),
        [],
      )
    })
  }
})

describe('the table of settings in docs/models.md', async () => {
  const docs = await readFile(at('../../docs/models.md'), 'utf8')
  const rows = [...docs.matchAll(/^\| `([^`|]+)` +\| (.+?) +\| (.+?) +\|$/gm)].map(([, file = '', keys = '']) => ({
    file,
    keys: [...keys.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key),
  }))
  const documented = (file: string, key: string): boolean => rows.some((row) => row.file === file && row.keys.includes(key))
  const fileOf = {
    sentenceTransformers: 'config_sentence_transformers.json',
    module: 'modules.json',
    pooling: 'Pooling',
    dense: 'Dense',
    layerNorm: 'LayerNorm',
    normalize: 'Normalize',
    transformer: 'sentence_bert_config.json',
  } as const

  test('has every key that gabion knows', () => {
    for (const [kind, file] of Object.entries(fileOf))
      for (const key of KNOWN_SETTINGS[kind as keyof typeof fileOf]) assert.ok(documented(file, key), `${file} ${key}`)
  })

  test('has every key that was compared with sentence-transformers', () => {
    const kindOf = (file: string): string => {
      if ((TRANSFORMER_FILES as readonly string[]).includes(file)) return 'sentence_bert_config.json'
      return /^\d+_(\w+)\/config\.json$/.exec(file)?.[1] ?? file
    }
    for (const { file, key } of cases) assert.ok(documented(kindOf(file), key.split('.')[0] as string), `${kindOf(file)} ${key}`)
  })
})

test('a key that gabion has never heard of is reported once at load', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gabion-unknown-'))
  const cache = process.env.GABION_CACHE
  process.env.GABION_CACHE = join(folder, 'cache')
  try {
    const model = join(folder, 'model')
    await cp(at('../fixtures/family/bert'), model, { recursive: true, filter: (name) => !name.includes('golden') })
    const files = [
      'config_sentence_transformers.json',
      'sentence_bert_config.json',
      'tokenizer_config.json',
      '1_Pooling/config.json',
      'config.json',
    ]
    for (const file of files) await apply(model, [file, 'twist', 1])
    for (const precision of ['fp32', 'bf16'] as const) {
      using embedder = await Embedder.load({ model, precision })
      const warnings = files.map((file) => `${file}: gabion does not know 'twist' and did not read it`)
      assert.deepEqual([...embedder.info.warnings].sort(), warnings.sort())
    }
  } finally {
    if (cache === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
    else process.env.GABION_CACHE = cache
    await rm(folder, { recursive: true })
  }
})

test('the older list of added tokens must be that of tokenizer.json', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gabion-added-'))
  try {
    await cp(at('../fixtures/family/bert'), folder, { recursive: true, filter: (name) => !name.includes('golden') })
    await apply(folder, ['added_tokens.json', '[MASK]', 4])
    using embedder = await Embedder.load({ model: folder, precision: 'fp32' })
    assert.equal(embedder.info.warnings.length, 0)
    await apply(folder, ['added_tokens.json', '<extra>', 419])
    await assert.rejects(Embedder.load({ model: folder, precision: 'fp32' }), {
      code: 'MODEL_UNSUPPORTED',
      message: /added_tokens\.json: <extra> 419 names the token "<extra>", which tokenizer\.json has not/,
    })
    // Where tokenizer_config.json lists all added tokens, Python does not read the older files.
    await apply(folder, ['tokenizer_config.json', 'added_tokens_decoder', { 4: { content: '[MASK]' } }])
    using again = await Embedder.load({ model: folder, precision: 'fp32' })
    assert.equal(again.info.warnings.length, 0)
  } finally {
    await rm(folder, { recursive: true })
  }
})
