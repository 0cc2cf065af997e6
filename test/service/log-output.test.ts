// The last lines of a service's log reach a slow reader, since they explain why a service has ended.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { startPiped } from '../native-backed/piped-process.js'
import { ChatUpstream } from './chat-upstream.js'
import { RedisServer } from './redis-server.js'

const REQUESTS = 100

interface Ready {
  readonly url?: string
  readonly metricsPort?: number
}

/** Starts a command whose log nobody reads, sends it requests and SIGTERM, and then has the log read slowly. */
async function logOf(args: readonly string[], path: string): Promise<string[]> {
  const { child, exit, output, read } = startPiped([...args, '--json'], 'slow', { stream: 'stderr', waitMs: null })
  const [line] = (await once(child.stdout, 'data')) as [string]
  const ready = JSON.parse(line) as Ready
  const url = ready.url ?? `http://127.0.0.1:${ready.metricsPort ?? 0}`
  for (let request = 0; request < REQUESTS; request++) await (await fetch(`${url}${path}`)).arrayBuffer()
  child.kill('SIGTERM')
  setTimeout(read, 300)
  const [code, { stderr }] = await Promise.all([exit, output])
  assert.equal(code, 143)
  assert.ok(stderr.endsWith('\n'))
  return stderr.trimEnd().split('\n')
}

function assertWhole(lines: string[], answered: number): void {
  assert.match(lines.pop() ?? '', /^stopping: /)
  const records = lines.map((line) => JSON.parse(line) as { msg: string })
  assert.equal(records.filter(({ msg }) => msg === 'answered').length, answered)
}

describe('The log of a command that gets SIGTERM', { concurrency: 3 }, () => {
  it('is whole: serve', async () => {
    assertWhole(await logOf(['serve', '--port', '0', '--no-grpc'], '/v1/models'), REQUESTS)
  })

  it('is whole: proxy', async () => {
    const { url } = await ChatUpstream.start(() => 'Tomorrow.')
    assertWhole(await logOf(['proxy', '--port', '0', '--upstream', url], '/v1/models'), REQUESTS)
  })

  it('is whole: worker', async () => {
    const redis = await RedisServer.start()
    const lines = await logOf(['worker', '--metrics-port', '0', '--redis', redis.url], '/health')
    assert.equal((JSON.parse(lines[0] ?? '') as { msg: string }).msg, 'metrics')
    assertWhole(lines, 0)
    await redis.remove()
  })
})
