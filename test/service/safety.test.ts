// Who may ask and how: keys on both protocols, TLS, addresses that are refused.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { credentials, loadPackageDefinition, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { ApiKeys, isLoopback } from '../../lib/server/api-keys.js'
import { PROTO_FILE } from '../../lib/server/grpc/server.js'
import type { RunningService } from '../../lib/server/serve.js'
import { get, KEY, memoryLog, post, startService } from './service-under-test.js'

type Embedding = Client & {
  embed(request: object, metadata: Metadata, done: (error: ServiceError | null, response: { vectors: unknown[] }) => void): void
}

function embeddingClient(port: number, channel = credentials.createInsecure()): Embedding {
  const root = loadPackageDefinition(loadSync(PROTO_FILE)) as unknown as {
    gabion: { v1: { EmbeddingService: new (...args: unknown[]) => Embedding } }
  }
  return new root.gabion.v1.EmbeddingService(`localhost:${port}`, channel)
}

function embed(client: Embedding, key?: string): Promise<number> {
  const metadata = new Metadata()
  if (key !== undefined) metadata.set('authorization', `Bearer ${key}`)
  return new Promise((resolve) => {
    client.embed({ texts: ['hello'] }, metadata, (error) => resolve(error?.code ?? status.OK))
  })
}

describe('API keys', () => {
  const other = 'another-key-0123456789abcdef'
  let running: RunningService
  const { logger, lines } = memoryLog()
  before(async () => {
    running = await startService({ keyList: [KEY, other], logger })
  })
  after(() => running.stop())

  it('open everything for those who have one of them, by either header', async () => {
    for (const headers of [{ authorization: `Bearer ${KEY}` }, { authorization: `bearer ${other}` }, { 'x-api-key': other }]) {
      assert.equal((await post(`${running.url}/v1/embeddings`, { input: 'hello' }, headers)).status, 200)
    }
  })

  it('keep everybody else out, before a body is read', async () => {
    const wrong = [
      {},
      { authorization: KEY },
      { authorization: 'Bearer ' },
      { authorization: `Bearer ${KEY}x` },
      { 'x-api-key': KEY.slice(1) },
    ]
    for (const headers of wrong) {
      const answer = await post(`${running.url}/v1/embeddings`, '{', headers as Record<string, string>)
      assert.deepEqual([answer.status, answer.body.error.code], [401, 'UNAUTHENTICATED'])
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
    }
    for (const path of ['/metrics', '/info', '/v1/events', '/v1/conversations'])
      assert.equal((await get(`${running.url}${path}`)).status, 401, path)
  })

  it('are not asked for by probes and the description', async () => {
    for (const path of ['/health', '/ready', '/openapi.json']) assert.equal((await get(`${running.url}${path}`)).status, 200, path)
  })

  it('hold for gRPC too', async () => {
    const client = embeddingClient(running.grpcPort!)
    assert.equal(await embed(client), status.UNAUTHENTICATED)
    assert.equal(await embed(client, 'a-wrong-key-0123456789'), status.UNAUTHENTICATED)
    assert.equal(await embed(client, KEY), status.OK)
    client.close()
  })

  it('never stand in the log', () => {
    assert.ok(lines.length > 5 && lines.every((line) => !line.includes(KEY) && !line.includes(other)))
  })

  it('come from a file and from the environment, and are refused when they could be guessed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-keys-'))
    const file = join(folder, 'keys')
    await writeFile(file, `# ours\n${KEY}  # the first\n\n`)
    const keys = await ApiKeys.read(file, { GABION_API_KEYS: `${other}, ${other}2` })
    assert.equal(keys.size, 3)
    assert.ok(keys.accept(KEY) && keys.accept(other) && !keys.accept('# ours'))
    await assert.rejects(ApiKeys.read(file, { GABION_API_KEYS: 'short' }), { code: 'INVALID_ARGUMENT', message: /16 characters/ })
    await writeFile(file, '# none\n')
    await assert.rejects(ApiKeys.read(file, {}), { code: 'INVALID_ARGUMENT' })
    await rm(folder, { recursive: true })
  })
})

describe('Addresses', () => {
  it('that others can reach are refused without a key', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.7', 'example.org']) {
      await assert.rejects(startService({ host }), { code: 'INVALID_ARGUMENT', message: /no API key/ }, host)
    }
    assert.ok(['localhost', '127.0.0.1', '127.9.9.9', '::1'].every(isLoopback))
    assert.ok(!['0.0.0.0', '127.0.0.1.evil.example', '10.0.0.1', ''].some(isLoopback))
  })

  it('that are taken are named', async () => {
    const first = await startService({ grpcPort: null })
    await assert.rejects(startService({ port: first.port, grpcPort: null }), {
      code: 'UNAVAILABLE',
      message: new RegExp(String(first.port)),
    })
    await first.stop()
  })
})

describe('TLS', () => {
  let folder: string
  let running: RunningService
  let certificate: Buffer
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-tls-'))
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', ...subject]
    execFileSync('openssl', [...make, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    certificate = await readFile(cert)
    running = await startService({ tls: { cert, key }, host: '0.0.0.0', keyList: [KEY] })
  })
  after(async () => {
    await running.stop()
    await rm(folder, { recursive: true })
  })

  it('covers HTTP', async () => {
    assert.match(running.url, /^https:/)
    const code = await new Promise((resolve, reject) => {
      const options = { port: running.port, host: 'localhost', path: '/info', ca: certificate, headers: { authorization: `Bearer ${KEY}` } }
      request(options, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
    assert.equal(code, 200)
  })

  it('covers gRPC', async () => {
    const client = embeddingClient(running.grpcPort!, credentials.createSsl(certificate))
    assert.equal(await embed(client, KEY), status.OK)
    client.close()
    const plain = embeddingClient(running.grpcPort!)
    assert.equal(await embed(plain, KEY), status.UNAVAILABLE)
    plain.close()
  })
})
