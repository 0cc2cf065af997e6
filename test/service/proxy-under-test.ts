// A proxy in the test's own process in front of a chat service whose answers the test says, and a client that asks as bytes.

import { readFileSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { parseTranscript } from '../../lib/index.js'
import { DEFAULT_POLICY, PROXY_LIMITS, type PolicyOptions } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService, ServeOptions } from '../../lib/server/serve.js'
import { ChatUpstream, type AnswerSpec } from './chat-upstream.js'
import { erosionMonitor, startService } from './service-under-test.js'

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
  /** With the trailers, which stand for the verdict's headers where there are any. */
  readonly headers: Headers
  /** Without trailers. */
  readonly own: Headers
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
    more?: { stream?: boolean; headers?: Record<string, string>; body?: object; bytes?: Buffer; path?: string },
  ): Promise<Answered>
}

/** Starts both; they end with the file. */
export async function startProxy(policy: Partial<PolicyOptions> = {}, more: Partial<ServeOptions> = {}): Promise<ProxyUnderTest> {
  const upstream = await ChatUpstream.start((exchange) => EXCHANGES[exchange - 1]?.assistant ?? GOOD.assistant)
  const options: PolicyOptions = { ...DEFAULT_POLICY, replacementMessage: REPLACEMENT, ...policy }
  const running = await startService({
    grpcPort: null,
    limits: PROXY_LIMITS,
    proxy: { upstream: new Upstream(upstream.url), policy: options },
    monitor: await erosionMonitor(),
    ...more,
  })
  const ask: ProxyUnderTest['ask'] = async (
    messages,
    x,
    { stream = false, headers = {}, body = {}, bytes: given, path = '/v1/chat/completions' } = {},
  ) => {
    const sent = given ?? JSON.stringify({ model: 'parrot', messages, stream, ...(x !== undefined && { x }), ...body })
    const type = { 'content-type': 'application/json', authorization: `Bearer ${keyOf(messages)}`, te: 'trailers' }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${running.url}${path}`, { method: 'POST', headers: { ...type, ...headers } }, resolve)
        .on('error', reject)
        .end(sent)
    })
    const chunks: Buffer[] = []
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const own = headersOf(response.headers)
    const trailers = Object.entries(response.trailers).filter(([, value]) => value !== '')
    const merged = new Headers([...own].filter(([name]) => trailers.length === 0 || !name.startsWith('x-gabion-')))
    for (const [name, value] of trailers) merged.set(name, String(value))
    return { status: response.statusCode ?? 0, headers: merged, own, raw: bytes.toString('latin1'), words: wordsOf(bytes.toString()) }
  }
  return { running, upstream, ask }
}

function headersOf(headers: IncomingMessage['headers']): Headers {
  return new Headers(Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((one) => [name, one] as [string, string])))
}

/** The messages of exchanges, one after the other. */
export function said(...exchanges: readonly { user: string; assistant: string }[]): Said[] {
  return exchanges.flatMap(({ user, assistant }) => [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ])
}

/** The key of a chat's caller: one of its own for each {@link system} message, so that tests do not meet in one conversation. */
function keyOf([first]: readonly Said[]): string {
  return first?.role === 'system' ? Buffer.from(String(first.content)).toString('base64url') : 'the-key-of-the-model'
}

/** A system message of its own. */
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
