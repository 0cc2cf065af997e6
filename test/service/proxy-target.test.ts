// Request targets of every form, written on raw sockets: none reaches another host, or leaves the upstream's base path.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { isGabionError } from '../../lib/index.js'
import { DEFAULT_POLICY } from '../../lib/server/proxy/policy.js'
import { parseUpstream, targetOf } from '../../lib/server/proxy/target.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService } from '../../lib/server/serve.js'
import { atEnd } from './ending.js'
import { rawRequest } from './raw-request.js'
import { KEY, startService } from './service-under-test.js'

interface Listener {
  readonly port: number
  readonly requests: IncomingMessage[]
  readonly connections: () => number
}

async function listen(): Promise<Listener> {
  const requests: IncomingMessage[] = []
  let connections = 0
  const server = createServer((request, response) => {
    requests.push(request)
    const to = new URL(request.url ?? '/', 'http://x').searchParams.get('redirect')
    if (to !== null) response.writeHead(307, { location: to })
    response.end('upstream')
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  return { port: (server.address() as AddressInfo).port, requests, connections: () => connections }
}

/** Targets that name another authority, or climb out of a path, in all the ways that a request line has. */
function hostileTargets(other: string): string[] {
  return [
    `http://${other}/`,
    `https://${other}/x`,
    `HTTP://${other}/x`,
    `http:${other}/x`,
    `http:/${other}/x`,
    `http:///${other}/x`,
    `http:\\\\${other}\\x`,
    `ftp://${other}/x`,
    `http://user:secret@${other}/x`,
    `http://127.0.0.1@${other}/x`,
    `//${other}/latest/meta-data`,
    `///${other}/x`,
    `////${other}/x`,
    `//user@${other}/x`,
    `/\\${other}/x`,
    `\\\\${other}/x`,
    `\\/${other}/x`,
    `/\\/${other}/x`,
    `/\\\\${other}/x`,
    `/%2f${other}/x`,
    `/%2F%2F${other}/x`,
    `/%5c%5c${other}/x`,
    `/%09/${other}/x`,
    `/\t/${other}/x`,
    `/\x0b/${other}/x`,
    `/.//${other}/x`,
    `/..//${other}/x`,
    `/x/..//${other}/x`,
    `/%2e%2e//${other}/x`,
    `/%2e//${other}/x`,
    `/x/%2e%2e/%2e%2e/%2f${other}/x`,
    `/..%2f..%2f${other}/x`,
    `/%252e%252e/${other}/x`,
    `/..;/${other}/x`,
    `/@${other}/x`,
    `/x@${other}/x`,
    `:@${other}/x`,
    `@${other}/x`,
    `:${other.split(':')[1]}/x`,
    `.${other}/x`,
    `?${other}`,
    `?@${other}/x`,
    `/?@${other}/x`,
    `/x?http://${other}/x`,
    `/x#@${other}/x`,
    `#@${other}/x`,
    other,
    `*`,
    `/\u00a0/${other}/x`,
    `/\u00ff\u00fe//${other}/x`,
  ]
}

describe('The target of a proxied request', () => {
  let upstream: Listener
  let other: Listener
  const proxies: { base: string; running: RunningService }[] = []
  before(async () => {
    ;[upstream, other] = [await listen(), await listen()]
    const policy = DEFAULT_POLICY
    for (const base of ['', '/v1', '/api/v1', '/deep/er']) {
      const to = new Upstream(`http://127.0.0.1:${upstream.port}${base}`)
      proxies.push({ base: base.replace(/\/v1$/, ''), running: await startService({ grpcPort: null, proxy: { upstream: to, policy } }) })
    }
  })

  it('never names another host and never leaves the base path, whatever its form', async (context) => {
    const targets = hostileTargets(`127.0.0.1:${other.port}`)
    assert.ok(targets.length >= 30)
    let refused = 0
    for (const { base, running } of proxies) {
      for (const target of targets) {
        for (const method of ['GET', 'POST']) {
          upstream.requests.length = 0
          const answer = await rawRequest(running.port, target, method, ['authorization: Bearer the-key-of-the-model', 'content-length: 0'])
          const shown = `${method} ${JSON.stringify(target)} below ${JSON.stringify(base)}: ${answer.split('\r\n')[0]}`
          assert.match(answer, /^HTTP\/1\.1 (400|200) /, shown)
          if (answer.startsWith('HTTP/1.1 400 ')) refused++
          for (const { url = '' } of upstream.requests) {
            assert.ok(url.startsWith(`${base}/`) && !/^\/\/|\/\.{1,2}(\/|$)/.test(url), `${shown} reached ${url}`)
          }
        }
      }
    }
    context.diagnostic(`${targets.length} forms, ${refused} of ${targets.length * 2 * proxies.length} requests refused`)
    assert.equal(other.connections(), 0)
  })

  it('of a CONNECT request opens nothing', async () => {
    for (const target of [`127.0.0.1:${other.port}`, `http://127.0.0.1:${other.port}/`]) {
      assert.doesNotMatch(await rawRequest(proxies[0]!.running.port, target, 'CONNECT'), /^HTTP\/1\.1 2/)
    }
    assert.equal(other.connections(), 0)
  })

  it('is passed on where the upstream redirects, and never followed', async () => {
    const location = `http://127.0.0.1:${other.port}/elsewhere`
    for (const { running } of proxies) {
      for (const [method, path] of [
        ['GET', '/v1/models'],
        ['POST', '/v1/chat/completions'],
      ] as const) {
        const answer = await rawRequest(running.port, `${path}?redirect=${encodeURIComponent(location)}`, method, ['content-length: 0'])
        assert.match(answer, /^HTTP\/1\.1 307 /)
        assert.ok(answer.includes(`location: ${location}`), answer)
      }
    }
    assert.equal(other.connections(), 0)
  })

  it('arrives as it was sent where it is an ordinary one', async () => {
    const { running, base } = proxies[2]!
    for (const target of [
      '/',
      '/v1/models',
      '/v1/models?limit=1&after=a%2Fb',
      '/files/a%20b/c%2Fd',
      '/a//b',
      '/v1/x?',
      '/~a/$b/c;d=1,2?e=//f?g',
    ]) {
      upstream.requests.length = 0
      assert.match(await rawRequest(running.port, target), /^HTTP\/1\.1 200 /)
      assert.equal(upstream.requests[0]?.url, base + target.replace(/\?$/, ''))
    }
  })

  it('comes with every header that is not of one connection and not gabion’s own', async () => {
    const { running } = proxies[0]!
    const sent = {
      authorization: 'Bearer a',
      'x-api-key': 'b',
      'api-key': 'c',
      'x-goog-api-key': 'd',
      'anthropic-version': '2023-06-01',
      'openai-organization': 'e',
      'accept-encoding': 'gzip',
      'x-forwarded-for': '10.0.0.1',
      cookie: 'f=g',
    }
    const own = ['x-gabion-conversation: h', 'connection: close, x-hop', 'x-hop: i', 'te: trailers', 'proxy-authorization: j']
    upstream.requests.length = 0
    await rawRequest(running.port, '/v1/files', 'GET', [...Object.entries(sent).map(([name, value]) => `${name}: ${value}`), ...own])
    const { host, connection, ...arrived } = upstream.requests[0]!.headers
    assert.deepEqual(arrived, sent)
    assert.deepEqual([host, connection], [`127.0.0.1:${upstream.port}`, 'keep-alive'])
  })

  it('below /gabion/ is gabion’s own, and its key never goes on', async () => {
    const policy = DEFAULT_POLICY
    const to = new Upstream(`http://127.0.0.1:${upstream.port}`)
    const running = await startService({ grpcPort: null, keyList: [KEY], proxy: { upstream: to, policy } })
    upstream.requests.length = 0
    for (const path of ['/gabion', '/gabion/', '/gabion/v1/nothing', '/%67abion/v1/nothing', '/gabion/v1/conversations']) {
      for (const method of ['GET', 'POST']) await rawRequest(running.port, path, method, [`x-api-key: ${KEY}`, 'content-length: 0'])
    }
    assert.deepEqual(
      upstream.requests.map(({ url }) => url),
      [],
    )
  })

  it('has the origin and base path of the upstream, or is refused (any text)', () => {
    const part = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom('/', '//', '\\', '..', '.', '%2e', '%2f', '%5c', '%25', '@', ':', '?', '#', 'http:', '[::1]', '\t'),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
    )
    const upstreams = ['http://127.0.0.1:8000', 'https://llm.example/api/v1', 'http://[::1]:9/deep/er/'].map(parseUpstream)
    const target = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(
        fc.constantFrom(...upstreams),
        fc.oneof(
          target,
          target.map((text) => `/${text}`),
        ),
        (base, text) => {
          try {
            const address = targetOf(base, text)
            assert.equal(address.origin, base.origin)
            assert.ok(address.pathname.startsWith(base.pathname.replace(/\/(v1)?$/, '/')))
            assert.equal(address.username + address.password + address.hash, '')
          } catch (error) {
            assert.ok(isGabionError(error) && error.code === 'INVALID_ARGUMENT', String(error))
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('belongs to an upstream that is an address and nothing more', () => {
    for (const url of ['nowhere', 'ftp://a.example', 'http://u:p@a.example', 'http://a.example/?x=1', 'http://a.example/#x', '']) {
      assert.throws(() => new Upstream(url), { code: 'INVALID_ARGUMENT' }, url)
    }
    assert.throws(
      () => parseUpstream('http://user:secret@a.example'),
      (error: Error) => !error.message.includes('secret'),
    )
  })
})
