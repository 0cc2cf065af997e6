// `gabion model pull` against a hub on loopback, and what the other commands then know of the model.

import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { COMMIT, HubServer } from '../fixtures/hub-server.js'
import { assertRefused, gabion, jsonLines, temporaryFolder, type Ended } from './cli-process.js'

const source = fileURLToPath(new URL('../fixtures/family/mpnet', import.meta.url))
const place = temporaryFolder()

describe('gabion model pull', () => {
  let hub: HubServer
  const run = (args: string[]): Promise<Ended> =>
    gabion(args, {
      env: {
        HF_ENDPOINT: hub.endpoint,
        HF_HOME: join(place, 'home'),
        HF_HUB_CACHE: '',
        HF_HUB_OFFLINE: '',
        GABION_CACHE: join(place, 'cache'),
      },
    })
  before(async () => {
    const files: Record<string, Buffer> = {}
    for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile()) files[path.slice(source.length + 1)] = await readFile(path)
    }
    hub = await HubServer.start(files)
  })
  after(() => hub.stop())

  test('brings a model here; list, verify, licenses and embed then know it', async () => {
    const pulled = await run(['model', 'pull', 'acme/tiny', '--json'])
    assert.equal(pulled.code, 0, pulled.stderr)
    const [line] = jsonLines(pulled.stdout)
    assert.deepEqual([line?.id, line?.revision, line?.commit], ['acme/tiny', 'main', COMMIT])
    const asked = hub.requests.length

    const listed = jsonLines((await run(['model', 'list', '--json'])).stdout).find(({ name }) => name === 'acme/tiny')
    assert.deepEqual([listed?.state, listed?.revision, listed?.precisions, listed?.license], ['ready', COMMIT, ['bf16'], 'apache-2.0'])
    const verified = await run(['model', 'verify', 'acme/tiny'])
    assert.equal(verified.code, 0, verified.stderr)
    assert.match(verified.stdout, /ok +onnx\/weights_bf16\.safetensors[\s\S]*loads as bf16/)
    const notice = join(place, 'NOTICE.txt')
    assert.equal((await run(['model', 'licenses', 'acme/tiny', '--out', notice])).code, 0)
    assert.match(await readFile(notice, 'utf8'), /ONNX Runtime[\s\S]*acme\/tiny[\s\S]*Apache License/)
    const [vector] = jsonLines((await run(['embed', 'a text', '--model', 'acme/tiny', '--json'])).stdout)
    assert.equal((vector?.embedding as number[]).length, 32)
    assert.equal(hub.requests.length, asked)
  })

  test('can leave the conversion for later', async () => {
    const { code, stdout } = await run(['model', 'pull', 'acme/tiny@v1', '--no-convert', '--json'])
    assert.equal(code, 0)
    assert.deepEqual(jsonLines(stdout)[0]?.converted, [])
  })

  test('says what is wrong in one line', async () => {
    assertRefused(await run(['model', 'pull', 'acme/other']), 2, /MODEL_NOT_FOUND: .*404/)
    assertRefused(await run(['model', 'pull', 'tiny']), 2, /INVALID_ARGUMENT: name must be a known model or owner\/name/)
    assertRefused(await run(['model', 'pull']), 2, /INVALID_ARGUMENT: missing required argument/)
    assertRefused(await run(['model', 'verify', 'acme/absent']), 2, /MODEL_NOT_FOUND: .*no model folder/)
  })
})
