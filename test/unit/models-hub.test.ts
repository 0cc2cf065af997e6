// Pulling a model from a hub on loopback: what lands in the cache, and every way in which a hub, a network or a disk can fail.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findLocalModel, parseHubModel, pullModel, type LocalModel, type PullOptions } from '../../lib/models/index.js'
import { COMMIT, HubServer } from '../fixtures/hub-server.js'
import { tinyCheckpoint, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

const RETRY = { initialDelayMs: 1, maxDelayMs: 2000 }
const VARIABLES = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HF_TOKEN',
  'HF_HUB_OFFLINE',
  'HF_HUB_DISABLE_SYMLINKS',
  'http_proxy',
  'no_proxy',
]

let folder: string
let hub: HubServer
let saved: Record<string, string | undefined>

async function filesOf(root: string): Promise<Record<string, Buffer>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files: Record<string, Buffer> = {}
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name)
    files[path.slice(root.length + 1)] = await readFile(path)
  }
  return files
}

beforeEach(async () => {
  saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  for (const name of VARIABLES) Reflect.deleteProperty(process.env, name)
  folder = await mkdtemp(join(tmpdir(), 'gabion-hub-'))
  await writeTinyFolder(join(folder, 'origin'), tinyCheckpoint())
  hub = await HubServer.start({
    ...(await filesOf(join(folder, 'origin'))),
    'pytorch_model.bin': 'pickle',
    'onnx/model.onnx': 'graph',
    '.gitattributes': '',
  })
  process.env.HF_ENDPOINT = hub.endpoint
  process.env.HF_HOME = join(folder, 'home')
})
afterEach(async () => {
  for (const name of VARIABLES) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, Object.fromEntries(Object.entries(saved).filter(([, value]) => value !== undefined)))
  await hub.stop()
  await rm(folder, { recursive: true })
})

const pull = (name = 'acme/tiny', options: PullOptions = {}): Promise<LocalModel> => pullModel(name, { retry: RETRY, ...options })
const cache = (...parts: string[]): string => join(folder, 'home', 'hub', 'models--acme--tiny', ...parts)
const isLarge = (path: string): boolean => path.endsWith('/model.safetensors')

/** Nothing in the cache may be taken for a model. */
async function assertNothingUsable(): Promise<void> {
  assert.equal(await findLocalModel({ id: 'acme/tiny', revision: 'main' }), null)
  for (const name of await readdir(cache('blobs')).catch(() => [])) {
    if (name.endsWith('.gabion-partial')) continue
    const content = await readFile(cache('blobs', name))
    const hash = name.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${String(content.length)}\0`)
    assert.equal(hash.update(content).digest('hex'), name)
  }
}

describe('a pulled model', () => {
  test('lies in the layout that other tools read', async () => {
    const model = await pull()
    assert.deepEqual(model, { id: 'acme/tiny', revision: 'main', folder: cache('snapshots', COMMIT), commit: COMMIT })
    assert.equal(await readFile(cache('refs', 'main'), 'utf8'), COMMIT)
    const weights = hub.files.get('model.safetensors') ?? assert.fail()
    const blob = createHash('sha256').update(weights).digest('hex')
    assert.equal(await readlink(join(model.folder, 'model.safetensors')), `../../blobs/${blob}`)
    assert.match(await readlink(join(model.folder, '1_Pooling', 'config.json')), /^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    assert.deepEqual(await readFile(join(model.folder, 'model.safetensors')), weights)
    assert.deepEqual(
      (await readdir(cache('blobs'))).filter((name) => !/^[0-9a-f]+$/.test(name)),
      [],
    )
  })

  test('has what a model needs and nothing else', async () => {
    const model = await pull()
    const names = (await readdir(model.folder, { recursive: true })).sort()
    assert.deepEqual(names, [
      '1_Pooling',
      '1_Pooling/config.json',
      'README.md',
      'config.json',
      'model.safetensors',
      'modules.json',
      'sentence_bert_config.json',
      'tokenizer.json',
    ])
  })

  test('brings the settings under their older names too', async () => {
    hub.files.set('sentence_roberta_config.json', Buffer.from('{"max_seq_length": 8}'))
    hub.files.delete('sentence_bert_config.json')
    const model = await pull()
    assert.equal(await readFile(join(model.folder, 'sentence_roberta_config.json'), 'utf8'), '{"max_seq_length": 8}')
    assert.notEqual(await findLocalModel(model), null)
  })

  test('may lack modules.json where the pooling is named', async () => {
    hub.files.delete('modules.json')
    await assert.rejects(pull(), { code: 'MODEL_UNSUPPORTED', message: /acme\/tiny has no modules\.json.*--pooling mean/ })
    const model = await pull('acme/tiny', { pooling: 'mean' })
    assert.equal(await findLocalModel(model), null)
    assert.notEqual(await findLocalModel(model, undefined, { pooling: 'mean', normalize: true }), null)
  })

  test('brings the best ONNX file of a repository without other weights', async () => {
    for (const name of ['model_q4', 'model_O3', 'model_quantized']) hub.files.set(`onnx/${name}.onnx`, Buffer.from(name))
    for (const name of ['model.safetensors', 'onnx/model.onnx']) hub.files.delete(name)
    const model = await pull()
    assert.deepEqual(await readdir(join(model.folder, 'onnx')), ['model_O3.onnx'])
    assert.notEqual(await findLocalModel(model), null)
  })

  test('is found later without a network, by name and by commit', async () => {
    await pull('acme/tiny@v1')
    const asked = hub.requests.length
    assert.equal((await findLocalModel({ id: 'acme/tiny', revision: 'v1' }))?.commit, COMMIT)
    assert.equal((await findLocalModel({ id: 'acme/tiny', revision: COMMIT }))?.commit, COMMIT)
    assert.equal(await findLocalModel({ id: 'acme/tiny', revision: 'main' }), null)
    assert.equal(hub.requests.length, asked)
  })

  test('is not downloaded again', async () => {
    await pull()
    await pull()
    assert.equal(hub.count('model.safetensors'), 2, 'one request to the hub, one to the storage')
  })

  test('reports its progress up to the last byte', async () => {
    const seen: { bytes: number; totalBytes: number }[] = []
    await pull('acme/tiny', { onProgress: (progress) => seen.push(progress) })
    assert.equal(seen.at(-1)?.bytes, seen.at(-1)?.totalBytes)
    assert.ok((seen.at(-1)?.totalBytes ?? 0) > (hub.files.get('model.safetensors')?.length ?? Infinity))
  })

  test('is whole when its snapshot came from elsewhere with a file missing', async () => {
    const model = await pull()
    await rm(join(model.folder, 'tokenizer.json'))
    assert.equal(await findLocalModel(model), null)
    await pull()
    assert.notEqual(await findLocalModel(model), null)
  })

  test('needs no links between files', async () => {
    process.env.HF_HUB_DISABLE_SYMLINKS = '1'
    const model = await pull()
    await assert.rejects(readlink(join(model.folder, 'config.json')), { code: 'EINVAL' })
    assert.notEqual(await findLocalModel(model), null)
  })

  test('is copied where links are refused', async () => {
    const child = fileURLToPath(new URL('../fixtures/pull-without-links-child.mjs', import.meta.url))
    const permission = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
    const flags = [permission, '--allow-fs-read=*', `--allow-fs-write=${folder}`]
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, child], { env: { ...process.env, NODE_OPTIONS: '' } })
    assert.equal(stdout.trim(), cache('snapshots', COMMIT))
    await assert.rejects(readlink(join(stdout.trim(), 'config.json')), { code: 'EINVAL' })
  })

  test('may be wanted by several processes at once', async () => {
    const script = fileURLToPath(new URL('../fixtures/pull-child.ts', import.meta.url))
    const children = Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', script], { env: process.env }),
    )
    for (const { stdout } of await Promise.all(children)) assert.equal(stdout.trim(), cache('snapshots', COMMIT))
    assert.ok(hub.requests.filter((request) => request.server === 'storage').length < 4, 'each process downloaded for itself')
    assert.deepEqual(await readdir(join(folder, 'home', 'hub', '.locks', 'models--acme--tiny')), [])
  })
})

describe('a token', () => {
  test('goes to the hub and not to the storage', async () => {
    process.env.HF_TOKEN = 'secret'
    await pull()
    assert.ok(hub.requests.some((request) => request.server === 'storage'))
    for (const { server, authorization } of hub.requests) assert.equal(authorization, server === 'hub' ? 'Bearer secret' : undefined)
  })

  test('is read from the file that the login of other tools writes', async () => {
    await mkdir(join(folder, 'home'))
    await writeFile(join(folder, 'home', 'token'), 'stored\n')
    await pull()
    assert.equal(hub.requests[0]?.authorization, 'Bearer stored')
  })
})

describe('a download that is cut', () => {
  /** Sends the first `bytes` of the weights and breaks the connection, `times` times. */
  function cut(bytes: number, times: number): void {
    let left = times
    hub.before = (request, response) => {
      if (request.server !== 'storage' || !isLarge(request.path) || left-- <= 0) return false
      const content = hub.files.get('model.safetensors') as Buffer
      const from = Number(/\d+/.exec(request.range ?? '')?.[0] ?? 0)
      response.writeHead(from === 0 ? 200 : 206, {
        'content-length': content.length - from,
        ...(from === 0 ? {} : { 'content-range': `bytes ${String(from)}-${String(content.length - 1)}/${String(content.length)}` }),
      })
      response.write(content.subarray(from, from + bytes), () => setTimeout(() => response.destroy(), 20))
      return true
    }
  }

  test('goes on where it ended', async () => {
    cut(20_000, 3)
    const model = await pull()
    assert.deepEqual(await readFile(join(model.folder, 'model.safetensors')), hub.files.get('model.safetensors'))
    const ranges = hub.requests.filter(({ server }) => server === 'storage').map(({ range }) => range)
    assert.deepEqual(ranges, [undefined, 'bytes=20000-', 'bytes=40000-', 'bytes=60000-'])
  })

  test('goes on in a later call', async () => {
    cut(20_000, 1)
    await assert.rejects(pull('acme/tiny', { retry: { ...RETRY, attempts: 1 } }), { code: 'HUB_UNREACHABLE' })
    await assertNothingUsable()
    await pull()
    assert.equal(hub.requests.at(-1)?.range, 'bytes=20000-')
  })

  test('begins anew where the server knows no ranges', async () => {
    cut(20_000, 1)
    const cutter = hub.before
    hub.before = (request, response) => {
      if (cutter(request, response)) return true
      if (request.server !== 'storage') return false
      hub.send(response, hub.files.get('model.safetensors') as Buffer, undefined)
      return true
    }
    const model = await pull()
    assert.deepEqual(await readFile(join(model.folder, 'model.safetensors')), hub.files.get('model.safetensors'))
  })

  test('is given up when nothing more comes', async () => {
    cut(0, Infinity)
    await assert.rejects(pull(), { code: 'HUB_UNREACHABLE', message: /cannot be reached.*HTTPS_PROXY.*give its path/ })
    await assertNothingUsable()
  })

  test('by the caller ends at once and leaves nothing that is used', async () => {
    const controller = new AbortController()
    hub.before = (request, response) => {
      if (request.server !== 'storage') return false
      response.writeHead(200, { 'content-length': 200_000 }).write('x'.repeat(5000))
      return true
    }
    const onProgress = ({ file, bytes }: { file: string; bytes: number }): void => {
      if (file === 'model.safetensors' && bytes > 5000) controller.abort(new Error('enough'))
    }
    await assert.rejects(pull('acme/tiny', { signal: controller.signal, onProgress }), { code: 'ABORTED' })
    await assertNothingUsable()
    await assert.rejects(pull('acme/tiny', { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  })
})

describe('a hub that refuses', () => {
  const answer = (status: number, headers: Record<string, string> = {}, times = Infinity): void => {
    let left = times
    hub.before = (_request, response) => {
      if (left-- <= 0) return false
      response.writeHead(status, headers).end('no')
      return true
    }
  }

  test('for want of permission', async () => {
    answer(401)
    await assert.rejects(pull(), { code: 'HUB_REFUSED', message: /401.*set HF_TOKEN/ })
    process.env.HF_TOKEN = 'wrong'
    answer(403)
    await assert.rejects(pull(), { code: 'HUB_REFUSED', message: /403.*HF_TOKEN does not give access/ })
    assert.equal(hub.requests.length, 2)
  })

  test('because there is no such thing', async () => {
    await assert.rejects(pull('acme/other'), { code: 'MODEL_NOT_FOUND', message: /404/ })
    await assert.rejects(pull('acme/tiny@no/such'), { code: 'MODEL_NOT_FOUND' })
  })

  test('for now is asked again', async () => {
    answer(429, { 'retry-after': '0' }, 2)
    await pull()
    answer(503, {}, 3)
    await pull()
  })

  test('for longer than one waits', async () => {
    answer(429, { 'retry-after': '3600' })
    await assert.rejects(pull(), { code: 'HUB_REFUSED', message: /too many requests/ })
    assert.equal(hub.requests.length, 1)
    answer(500)
    await assert.rejects(pull(), { code: 'HUB_UNREACHABLE', message: /answered 500/ })
    assert.equal(hub.requests.length, 6)
  })

  test('to stop sending on', async () => {
    answer(302, { location: '/again' })
    await assert.rejects(pull(), { code: 'HUB_REFUSED', message: /more than 5 times/ })
    answer(302, { location: 'file:///etc/passwd' })
    await assert.rejects(pull(), { code: 'HUB_REFUSED', message: /file:\/\/\/etc\/passwd, which is not followed/ })
  })
})

describe('a hub that lies', () => {
  test('about a hash', async () => {
    for (const [path, hash] of [
      ['model.safetensors', 'd'.repeat(64)],
      ['config.json', 'd'.repeat(40)],
    ] as const) {
      hub.listedHash.clear()
      await rm(join(folder, 'home'), { recursive: true, force: true })
      hub.listedHash.set(path, hash)
      await assert.rejects(pull(), { code: 'CHECKSUM_MISMATCH', message: new RegExp(`${path}.*nothing was kept`) })
      await assertNothingUsable()
      await assert.rejects(stat(cache('blobs', `${hash}.gabion-partial`)))
    }
  })

  test('about a size', async () => {
    hub.before = (request, response) => {
      if (request.server !== 'storage') return false
      response.end(Buffer.concat([hub.files.get('model.safetensors') as Buffer, Buffer.from('more')]))
      return true
    }
    await assert.rejects(pull(), { code: 'CHECKSUM_MISMATCH', message: /more than the \d+ bytes/ })
    await assertNothingUsable()
  })

  for (const path of ['../outside.json', '/etc/config.json', 'a/../../config.json', 'a\\..\\config.json', '']) {
    test(`about a path: ${JSON.stringify(path)}`, async () => {
      hub.files.set(path, Buffer.from('{}'))
      await assert.rejects(pull(), { code: 'MODEL_INVALID', message: /path inside the repository/ })
    })
  }

  test('about everything', async () => {
    for (const listing of [
      '[]',
      '{}',
      '{"sha":"main","siblings":[]}',
      `{"sha":"${COMMIT}","siblings":[{"rfilename":"a","size":-1,"blobId":"${COMMIT}"}]}`,
      `{"sha":"${COMMIT}","siblings":[{"rfilename":"a","size":1,"blobId":"../x"}]}`,
    ]) {
      hub.before = (_request, response) => {
        response.end(listing)
        return true
      }
      await assert.rejects(pull(), { code: 'MODEL_INVALID' })
    }
    hub.before = (_request, response) => {
      response.end('<html>')
      return true
    }
    await assert.rejects(pull(), { code: 'HUB_UNREACHABLE', message: /did not answer with JSON/ })
  })
})

describe('a repository', () => {
  test('with pickled weights alone is refused before a byte of them comes', async () => {
    hub.files.delete('model.safetensors')
    hub.files.delete('onnx/model.onnx')
    await assert.rejects(pull(), { code: 'MODEL_UNSUPPORTED', message: /only in pytorch_model\.bin: a pickle.*safetensors/ })
    assert.equal(hub.requests.length, 1)
  })

  test('with an ONNX export instead of safetensors is taken', async () => {
    hub.files.delete('model.safetensors')
    const model = await pull()
    assert.equal(await readFile(join(model.folder, 'onnx', 'model.onnx'), 'utf8'), 'graph')
  })

  test('in another layout is refused', async () => {
    hub.files.delete('modules.json')
    await assert.rejects(pull(), { code: 'MODEL_UNSUPPORTED', message: /no modules\.json/ })
  })

  test('has a name that can be one', async () => {
    for (const name of ['', 'a', 'a/b/c', '../x', 'a/..', 'a/b@', 'a b/c', '-/x']) {
      await assert.rejects(pull(name), { code: 'INVALID_ARGUMENT' }, name)
    }
    await assert.rejects(pull('acme/tiny@../../x'), { code: 'MODEL_NOT_FOUND' })
    assert.deepEqual(parseHubModel('all-mpnet-base-v2@abc'), { id: 'sentence-transformers/all-mpnet-base-v2', revision: 'abc' })
  })
})

describe('without a network', () => {
  test('the error says what to do', async () => {
    const closed = await HubServer.start({})
    await closed.stop()
    process.env.HF_ENDPOINT = closed.endpoint
    await assert.rejects(pull(), { code: 'HUB_UNREACHABLE', message: /http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED/ })
  })

  test('HF_HUB_OFFLINE asks nobody', async () => {
    process.env.HF_HUB_OFFLINE = '1'
    await assert.rejects(pull(), { code: 'HUB_UNREACHABLE', message: /is not on this machine.*HF_HUB_OFFLINE is set/ })
    Reflect.deleteProperty(process.env, 'HF_HUB_OFFLINE')
    await pull()
    const asked = hub.requests.length
    process.env.HF_HUB_OFFLINE = '1'
    assert.equal((await pull()).commit, COMMIT)
    // Another revision of it is here, so the message names the one that is not.
    await assert.rejects(pull('acme/tiny@v2'), {
      code: 'HUB_UNREACHABLE',
      message: /^acme\/tiny@v2 is not on this machine \(looked in .*, which has its revision main\)/,
    })
    assert.equal(hub.requests.length, asked)
  })

  test('a proxy is used where one is set', async () => {
    const asked: string[] = []
    const proxy = createServer().on('connect', (request, socket, head) => {
      asked.push(request.url ?? '')
      const [host, port] = (request.url ?? '').split(':')
      const through = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        through.write(head)
        through.pipe(socket).pipe(through)
      })
      for (const end of [through, socket]) end.on('error', () => through.destroy())
    })
    await new Promise<void>((ready) => proxy.listen(0, '127.0.0.1', ready))
    try {
      process.env.http_proxy = `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}`
      await pull()
      assert.ok(asked.includes(new URL(hub.endpoint).host))
      asked.length = 0
      process.env.no_proxy = '127.0.0.1'
      await pull()
      assert.deepEqual(asked, [])
    } finally {
      proxy.closeAllConnections()
      proxy.close()
    }
  })

  test('an endpoint that is none is refused', async () => {
    process.env.HF_ENDPOINT = 'hub.example'
    await assert.rejects(pull(), { code: 'INVALID_ARGUMENT', message: /HF_ENDPOINT must be/ })
  })
})

describe('a disk', () => {
  test('that cannot be written is named, with the way out', async () => {
    await writeFile(join(folder, 'file'), '')
    for (const place of [join(folder, 'file'), '/sys/gabion']) {
      process.env.HF_HUB_CACHE = join(place, 'hub')
      await assert.rejects(pull(), { code: 'STORAGE_FAILED', message: /cannot write .*HF_HUB_CACHE/ })
    }
  })

  test('that is too small is told before the first byte', async () => {
    const listing = { sha: COMMIT, siblings: [{ rfilename: 'modules.json', size: 1e15, blobId: COMMIT }] }
    hub.before = (request, response) => {
      if (!request.path.startsWith('/api/')) return false
      response.end(JSON.stringify(listing))
      return true
    }
    await assert.rejects(pull(), { code: 'STORAGE_FAILED', message: /takes 1,000,000,000 MB, its file system has/ })
    assert.equal(hub.requests.length, 1)
  })
})
