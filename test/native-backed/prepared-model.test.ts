// Loading models that need preparation: a folder without graphs, a repository of a hub on loopback; and that it is done once.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, cp, mkdtemp, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { PreparationProgress } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { verifyModel } from '../../lib/models/index.js'
import { COMMIT, HubServer } from '../fixtures/hub-server.js'

const family = fileURLToPath(new URL('../fixtures/family', import.meta.url))
const VARIABLES = ['GABION_CACHE', 'HF_ENDPOINT', 'HF_HOME', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE']

let folder: string
let saved: Record<string, string | undefined>
beforeEach(async () => {
  saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  for (const name of VARIABLES) Reflect.deleteProperty(process.env, name)
  folder = await mkdtemp(join(tmpdir(), 'gabion-prepared-'))
  process.env.GABION_CACHE = join(folder, 'cache')
  process.env.HF_HOME = join(folder, 'home')
})
afterEach(async () => {
  for (const name of VARIABLES) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, Object.fromEntries(Object.entries(saved).filter(([, value]) => value !== undefined)))
  await rm(folder, { recursive: true })
})

const kept = async (): Promise<string[]> => (await readdir(join(folder, 'cache', 'models'))).sort()

/** A copy of a tiny model, without its golden files. */
async function copyModel(name: string): Promise<string> {
  const copy = join(folder, name)
  await cp(join(family, name), copy, { recursive: true })
  for (const file of ['golden.f32', 'golden.json.gz']) await rm(join(copy, file))
  return copy
}

async function hubWith(source: string): Promise<HubServer> {
  const files: Record<string, Buffer> = {}
  for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[path.slice(source.length + 1)] = await readFile(path)
  }
  return HubServer.start(files)
}

describe('a folder without graphs', () => {
  test('is converted once, beside and not inside', async () => {
    const source = await copyModel('mpnet')
    const before = await readdir(source, { recursive: true })
    const seen: PreparationProgress[] = []
    const onProgress = (progress: PreparationProgress): void => void seen.push(progress)
    using first = await Embedder.load({ model: source, onProgress })
    const last = seen.at(-1)
    assert.ok(last?.stage === 'convert' && last.bytesWritten === last.bytesOfPrecision)
    assert.deepEqual(await readdir(source, { recursive: true }), before)
    assert.deepEqual([first.info.model, first.info.license, first.info.precision], ['mpnet', 'apache-2.0', 'bf16'])
    assert.match((await kept()).join(), /^mpnet-[0-9a-f]{16}-bf16$/)

    seen.length = 0
    using second = await Embedder.load({ model: source, onProgress })
    assert.deepEqual(seen, [])
    assert.deepEqual(await second.embed('a text'), await first.embed('a text'))
    assert.equal((await verifyModel(second.info.folder)).ok, true)
  })

  test('is converted by one of several processes that want it at once', async () => {
    const source = await copyModel('mpnet')
    const child = fileURLToPath(new URL('../fixtures/convert-child.ts', import.meta.url))
    const run = (): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', child, source], { env: process.env })
    const found = (await Promise.all([run(), run(), run()])).map(
      ({ stdout }) => JSON.parse(stdout) as { folder: string; converted: boolean; first: number },
    )
    assert.equal(found.filter(({ converted }) => converted).length, 1)
    assert.equal(new Set(found.map(({ folder, first }) => `${folder} ${String(first)}`)).size, 1)
    assert.match((await kept()).join(), /^mpnet-[0-9a-f]{16}-bf16$/)
  })

  test('is converted again for another precision, and when it changed', async () => {
    const source = await copyModel('bert')
    for (const precision of ['fp32', 'bf16', 'fp16'] as const) {
      using embedder = await Embedder.load({ model: source, precision })
      assert.equal(embedder.info.precision, precision)
    }
    assert.equal((await kept()).length, 3)
    await utimes(join(source, 'model.safetensors'), 1, 1)
    using embedder = await Embedder.load({ model: source, precision: 'fp32' })
    assert.equal(embedder.info.precision, 'fp32')
    assert.equal((await kept()).length, 4)
  })

  test('gives int8 where it is requested', async () => {
    for (const name of ['mpnet', 'dense']) {
      using embedder = await Embedder.load({ model: await copyModel(name), precision: 'int8' })
      assert.equal(embedder.info.precision, 'int8')
    }
  })

  test('is made again when what was kept is damaged', async () => {
    const source = await copyModel('roberta')
    const { folder: made } = (await Embedder.load(source)).info
    await truncate(join(made, 'onnx', 'weights_bf16.safetensors'), 100)
    using embedder = await Embedder.load(source)
    assert.equal(embedder.info.folder, made)
    assert.ok((await stat(join(made, 'onnx', 'weights_bf16.safetensors'))).size > 100)
  })

  test('says where it could not be kept', async () => {
    const source = await copyModel('bert')
    await writeFile(join(folder, 'file'), '')
    process.env.GABION_CACHE = join(folder, 'file')
    await assert.rejects(Embedder.load(source), { code: 'STORAGE_FAILED', message: /not a folder.*GABION_CACHE/ })
  })

  test('can be converted where it cannot be written', { skip: process.getuid?.() === 0 ? 'root may write anywhere' : false }, async () => {
    const source = await copyModel('bert')
    await chmod(source, 0o555)
    using embedder = await Embedder.load(source)
    assert.equal(embedder.info.model, 'bert')
    await chmod(source, 0o755)
  })

  test('is left half done by nobody who aborts', async () => {
    const controller = new AbortController()
    const onProgress = (): void => controller.abort()
    await assert.rejects(Embedder.load({ model: await copyModel('bert'), onProgress, signal: controller.signal }), { code: 'ABORTED' })
    assert.deepEqual(await kept(), [])
  })
})

describe('a repository of a hub', () => {
  test('is pulled, converted and loaded by its name, and then needs no hub', async () => {
    const hub = await hubWith(await copyModel('xlm-roberta'))
    try {
      process.env.HF_ENDPOINT = hub.endpoint
      const stages = new Set<string>()
      using first = await Embedder.load({ model: 'acme/tiny', onProgress: ({ stage }) => void stages.add(stage) })
      assert.deepEqual([...stages], ['download', 'convert'])
      assert.deepEqual([first.info.model, first.info.revision], ['acme/tiny', COMMIT])
      const asked = hub.requests.length
      using second = await Embedder.load('acme/tiny')
      assert.equal(hub.requests.length, asked)
      assert.deepEqual(await second.embed('один текст'), await first.embed('один текст'))
    } finally {
      await hub.stop()
    }
  })

  test('that is neither here nor reachable says what to do', async () => {
    process.env.HF_HUB_OFFLINE = '1'
    await assert.rejects(Embedder.load('all-mpnet-base-v2'), {
      code: 'HUB_UNREACHABLE',
      message: /all-mpnet-base-v2 is not on this machine.*pull it once/,
    })
    Reflect.deleteProperty(process.env, 'HF_HUB_OFFLINE')
    const closed = await HubServer.start({})
    await closed.stop()
    process.env.HF_ENDPOINT = closed.endpoint
    await assert.rejects(Embedder.load('all-mpnet-base-v2'), { code: 'HUB_UNREACHABLE', message: /cannot be reached/ })
  })

  test('is not asked for a bare word or a path', async () => {
    for (const name of ['no-such-model', './no/such', '/no/such/folder']) {
      await assert.rejects(Embedder.load(name), { code: 'MODEL_NOT_FOUND', message: /no model folder/ })
    }
  })
})
