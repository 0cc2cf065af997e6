// A proxy that cuts, in front of a service whose chunks a test sends one by one.

import { request, type IncomingMessage } from 'node:http'
import type { Detector } from '../../lib/detection/detector.js'
import { Monitor } from '../../lib/index.js'
import type { ConversationStore } from '../../lib/server/conversations/store.js'
import { DEFAULT_POLICY, type PolicyOptions } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { startServer } from './local-server.js'
import { startService } from './service-under-test.js'

/** A reply with it raises an alert. */
export const FORBIDDEN = 'forbidden'
/** The replacement message. */
export const MESSAGE = 'Blocked.'
/** The comment with the verdict. */
export const COMMENT = /: gabion \{"x-gabion-[^\n]*\}\n\n/

/** A response whose chunks a test sends one by one; `closed` is true once the proxy has left. */
export interface Sending {
  readonly type: string
  readonly chunks: AsyncIterable<string | Buffer> | Iterable<string | Buffer>
  /** Breaks off after the last chunk. */
  readonly breaksOff?: boolean
  closed?: boolean
}

/** A service that answers the n-th request with the n-th of `sendings`. */
async function startUpstream(sendings: Sending[]): Promise<string> {
  return await startServer((incoming, response) => {
    incoming.resume()
    const sending = sendings.shift()!
    response.on('close', () => (sending.closed = true))
    void (async () => {
      response.writeHead(200, { 'content-type': sending.type })
      for await (const chunk of sending.chunks) {
        if (sending.closed === true) return
        await new Promise((resolve) => response.write(chunk, resolve))
      }
      if (sending.breaksOff === true) response.destroy()
      else response.end()
    })()
  })
}

/** What differs from a proxy with a scripted detector and conversations in memory. */
export interface CuttingParts {
  readonly detector?: Detector
  readonly store?: ConversationStore
}

/** The proxy. */
export class CuttingProxy {
  readonly url: string
  readonly #sendings: Sending[]

  private constructor(url: string, sendings: Sending[]) {
    this.url = url
    this.#sendings = sendings
  }

  static async start(policy: Partial<PolicyOptions> = {}, { detector, store }: CuttingParts = {}): Promise<CuttingProxy> {
    const scripted = new ScriptedDetector(({ assistant }) => (assistant.includes(FORBIDDEN) ? 'alert' : 'calm'))
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: detector ?? scripted })
    const sendings: Sending[] = []
    const options = { ...DEFAULT_POLICY, policy: 'cut' as const, replacementMessage: MESSAGE, verdictWaitMs: 60_000, ...policy }
    const upstream = new Upstream(await startUpstream(sendings))
    const { url } = await startService({
      monitor,
      grpcPort: null,
      proxy: { upstream, policy: options },
      ...(store !== undefined && { store }),
    })
    return new CuttingProxy(url, sendings)
  }

  /** The response as it comes. */
  async open(path: string, body: object, sending: Sending): Promise<IncomingMessage> {
    this.#sendings.push(sending)
    return new Promise((resolve, reject) => {
      request(`${this.url}${path}`, { method: 'POST', headers: { authorization: 'Bearer key' } }, resolve)
        .on('error', reject)
        .end(JSON.stringify(body))
    })
  }

  async ask(path: string, body: object, sending: Sending): Promise<string> {
    const response = await this.open(path, body, sending)
    const chunks: Buffer[] = []
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.url}/gabion/metrics`)).text()
  }
}

export const EVENTS = 'text/event-stream'
/** A request for a stream. */
export const chat = (text: string): object => ({ stream: true, messages: [{ role: 'user', content: text }] })
/** An event of chat completions. */
export const chunkOf = (delta: object, finish: string | null = null, index = 0): string =>
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index, delta, finish_reason: finish }] })}\n\n`
export const words = (count: number): string[] => Array.from({ length: count }, (_, index) => `word${String(index)} `)
