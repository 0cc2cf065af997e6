// A proxy in the test's own process in front of a chat service whose answers the test says, and a client that asks as bytes.

import { readFileSync } from 'node:fs'
import { parseTranscript } from '../../lib/index.js'
import type { PolicyOptions } from '../../lib/server/proxy/chat-watch.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService, ServeOptions } from '../../lib/server/serve.js'
import { ChatUpstream, type AnswerSpec } from './chat-upstream.js'
import { startService } from './service-under-test.js'

/** Replacement message of blocked replies. */
export const REPLACEMENT = 'Blocked.'

const [eroding] = parseTranscript(readFileSync('examples/shop-refund-eroding.json', 'utf8'), 'shop-refund-eroding.json')

/** A conversation in which an alert is raised. */
export const EXCHANGES = eroding!.exchanges

/** An exchange that raises an alert by itself, and one that does not. */
export const BAD = EXCHANGES[4]!
export const GOOD = { user: 'When do you open?', assistant: 'We open at nine and close at five.' }

/** A message of a chat. */
export interface Said {
  role: string
  content: unknown
}

/** An answer as it came. */
export interface Answered {
  readonly status: number
  readonly headers: Headers
  /** The bytes as Latin-1. */
  readonly raw: string
  /** The words of the first choice, whole or streamed; the error's code where there are none. */
  readonly words: string
}

/** A proxy and the service behind it. */
export interface ProxyUnderTest {
  readonly running: RunningService
  readonly upstream: ChatUpstream
  ask(
    messages: readonly Said[],
    x?: AnswerSpec,
    more?: { stream?: boolean; headers?: Record<string, string>; body?: object },
  ): Promise<Answered>
}

/** Starts both; they end with the file. */
export async function startProxy(policy: Partial<PolicyOptions> = {}, more: Partial<ServeOptions> = {}): Promise<ProxyUnderTest> {
  const upstream = await ChatUpstream.start((exchange) => EXCHANGES[exchange - 1]?.assistant ?? GOOD.assistant)
  const options: PolicyOptions = { policy: 'observe', failClosed: false, replacementMessage: REPLACEMENT, comments: true, ...policy }
  const running = await startService({ grpcPort: null, proxy: { upstream: new Upstream(upstream.url), policy: options }, ...more })
  const ask: ProxyUnderTest['ask'] = async (messages, x, { stream = false, headers = {}, body = {} } = {}) => {
    const response = await fetch(`${running.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer the-key-of-the-model', ...headers },
      body: JSON.stringify({ model: 'parrot', messages, stream, ...(x !== undefined && { x }), ...body }),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, raw: bytes.toString('latin1'), words: wordsOf(bytes.toString()) }
  }
  return { running, upstream, ask }
}

/** The messages of exchanges, one after the other. */
export function said(...exchanges: readonly { user: string; assistant: string }[]): Said[] {
  return exchanges.flatMap(({ user, assistant }) => [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ])
}

/** A system message of its own, so that tests do not meet in one conversation. */
let count = 0
export function system(): Said {
  return { role: 'system', content: `You are the assistant of shop number ${++count}.` }
}

interface Chunk {
  choices?: { message?: { content?: string }; delta?: { content?: string } }[]
  error?: { code?: string }
}

function wordsOf(text: string): string {
  const events = text.split(/\r?\n/).flatMap((line) => /^data: ?(\{.*\})$/.exec(line)?.[1] ?? [])
  try {
    const chunks = (events.length > 0 ? events : [text]).map((json) => JSON.parse(json) as Chunk)
    return chunks.map(({ choices, error }) => error?.code ?? choices?.[0]?.message?.content ?? choices?.[0]?.delta?.content ?? '').join('')
  } catch {
    return ''
  }
}
