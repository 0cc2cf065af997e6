// What streams leave in memory when they have ended, however they ended: nothing.

import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { it } from 'node:test'
import { queryObjects } from 'node:v8'
import { GrowingReply } from '../../lib/monitor/stream/growing-reply.js'
import { ReplyGate } from '../../lib/monitor/stream/reply-gate.js'
import { ChatWatch } from '../../lib/server/proxy/chat-watch.js'
import { CutReply } from '../../lib/server/proxy/cut-reply.js'
import { RequestContext } from '../../lib/server/request-context.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { chat, chunkOf, CuttingProxy, EVENTS, FORBIDDEN, words, type Sending } from './cutting-proxy.js'
import { until } from './ending.js'

const STREAMS = 8
/** Of each class, objects that Node may keep: those of the last requests of connections that are still open. */
const KEPT = 3

/** Judges as told; \`SLOW\` takes for ever. */
class SlowDetector extends ScriptedDetector {
  constructor() {
    super(({ assistant }) => (assistant.includes(FORBIDDEN) ? 'alert' : 'calm'))
  }

  override judge(...[state, exchange]: Parameters<ScriptedDetector['judge']>): ReturnType<ScriptedDetector['judge']> {
    const judged = super.judge(state, exchange)
    return exchange.assistant.includes('SLOW') ? (new Promise(() => undefined) as never) : judged
  }
}

const last = [chunkOf({}, 'stop'), 'data: [DONE]\n\n']
const said = words(50).map((content) => chunkOf({ content }))
const ends: Record<string, () => Sending> = {
  finished: () => ({ type: EVENTS, chunks: [...said, ...last] }),
  cut: () => ({ type: EVENTS, chunks: [...said, chunkOf({ content: FORBIDDEN }), ...said, ...last] }),
  'broken off by the upstream': () => ({ type: EVENTS, chunks: said, breaksOff: true }),
  'left by the client': () => {
    const sending: Sending = { type: EVENTS, chunks: silent(() => sending.closed === true) }
    return sending
  },
  'judged too slowly': () => ({ type: EVENTS, chunks: [chunkOf({ content: 'SLOW' }), ...last] }),
}

/** Says nothing more until the proxy has left. */
async function* silent(isClosed: () => boolean): AsyncGenerator<string> {
  yield* said
  while (!isClosed()) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function readAll(response: IncomingMessage, leaves: boolean): Promise<void> {
  try {
    for await (const _ of response) if (leaves) break
  } catch (error) {
    assert.match(String(error), /aborted/)
  }
}

it('Streams of every kind leave nothing in memory', async () => {
  const proxy = await CuttingProxy.start(
    { judgeTimeoutMs: 50, lag: { lagTokens: 5, lagMs: 10, maxLagMs: 20 } },
    { detector: new SlowDetector() },
  )
  for (const [name, sendingOf] of Object.entries(ends)) {
    const asked = Array.from({ length: STREAMS }, async (_, index) => {
      const response = await proxy.open('/v1/chat/completions', chat(`${name} ${String(index)}`), sendingOf())
      await readAll(response, name === 'left by the client')
    })
    await Promise.all(asked)
  }
  for (const kind of [ReplyGate, GrowingReply, CutReply, ChatWatch, RequestContext]) {
    await until(`the last ${kind.name}`, () => queryObjects(kind, { format: 'count' }) <= KEPT, 100)
  }
})
