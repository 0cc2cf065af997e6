// A chat service in OpenAI's form with replies that the test says, whole or streamed in small pieces.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { atEnd } from './ending.js'

/** A service that answers each request with the next of its replies. */
export class ChatUpstream {
  readonly url: string
  readonly requests: { path: string; headers: IncomingMessage['headers']; body: string }[] = []
  readonly #server: Server

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  /** @param reply - the reply to the n-th user message of a chat */
  static async start(reply: (turn: number) => string): Promise<ChatUpstream> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const upstream = new ChatUpstream(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    atEnd(() => upstream.stop())
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        upstream.requests.push({ path: request.url ?? '', headers: request.headers, body })
        const json = (value: unknown): void => {
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
        }
        if (request.url === '/v1/models') {
          json({ object: 'list', data: [{ id: 'parrot', object: 'model' }] })
          return
        }
        if (request.url !== '/v1/chat/completions') return void response.writeHead(404).end('{"error":{"message":"no such path"}}')
        const { messages, stream } = JSON.parse(body) as { messages: { role: string }[]; stream?: boolean }
        const words = reply(messages.filter(({ role }) => role === 'user').length)
        const about = { id: 'chatcmpl-1', created: 1, model: 'parrot' }
        if (stream !== true) {
          const message = { role: 'assistant', content: words }
          json({ ...about, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] })
          return
        }
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const event = (delta: object, finish: string | null): string =>
          `data: ${JSON.stringify({ ...about, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
        const whole = `${(words.match(/./gsu) ?? []).map((letter) => event({ content: letter }, null)).join('')}${event({}, 'stop')}data: [DONE]\n\n`
        // Cut without regard to lines and letters.
        const bytes = Buffer.from(whole)
        for (let at = 0; at < bytes.length; at += 701) response.write(bytes.subarray(at, at + 701))
        response.end()
      })
    })
    return upstream
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
