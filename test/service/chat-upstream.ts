// A chat service in OpenAI's form with replies that the test says, whole or streamed in small pieces.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync } from 'node:zlib'
import { atEnd } from './ending.js'

/** How a request has to be answered, in its body's field `x`: for what a friendly service never does. */
export interface AnswerSpec {
  readonly reply?: string
  /** The choices of a whole answer. */
  readonly choices?: readonly object[]
  /** The whole body, or its chunks. */
  readonly raw?: string | readonly string[]
  /** Deltas of a stream. */
  readonly deltas?: readonly object[]
  readonly type?: string
  readonly encoding?: 'broken' | 'zstd' | 'gzip' | 'deflate' | 'br' | 'gzip, br' | 'unknown'
  readonly status?: number
}

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
  static async start(reply: (exchange: number) => string): Promise<ChatUpstream> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const upstream = new ChatUpstream(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    atEnd(() => upstream.stop())
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const bytes = Buffer.concat(chunks)
        const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
        upstream.requests.push({ path: request.url ?? '', headers: request.headers, body })
        const json = (value: unknown): void => {
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
        }
        if (request.url === '/v1/models') {
          json({ object: 'list', data: [{ id: 'parrot', object: 'model' }] })
          return
        }
        if (request.url !== '/v1/chat/completions') return void response.writeHead(404).end('{"error":{"message":"no such path"}}')
        const { messages, stream, x } = JSON.parse(body) as { messages?: { role: string }[]; stream?: boolean; x?: AnswerSpec }
        const words = x?.reply ?? reply((messages ?? []).filter(({ role }) => role === 'user').length)
        const about = { id: 'chatcmpl-1', created: 1, model: 'parrot' }
        const ordinary = stream === true ? 'text/event-stream' : 'application/json'
        response.writeHead(x?.status ?? 200, {
          'content-type': x?.type ?? ordinary,
          etag: '"one"',
          ...(x?.encoding !== undefined && { 'content-encoding': x.encoding === 'broken' ? 'gzip' : x.encoding }),
        })
        const send = (parts: readonly string[]): void => {
          if (x?.encoding === undefined) for (const part of parts) response.write(part)
          else response.write(encode(Buffer.from(parts.join('')), x.encoding))
          response.end()
        }
        if (x?.raw !== undefined) {
          send([x.raw].flat())
          return
        }
        if (stream !== true) {
          const choices = x?.choices ?? [{ index: 0, message: { role: 'assistant', content: words }, finish_reason: 'stop' }]
          send([JSON.stringify({ ...about, object: 'chat.completion', choices })])
          return
        }
        const event = (delta: object, finish: string | null): string =>
          `data: ${JSON.stringify({ ...about, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
        if (x?.deltas !== undefined || x?.encoding !== undefined) {
          const deltas = x.deltas ?? [{ content: words }]
          send([...deltas.map((delta) => event(delta, null)), event({}, 'stop'), 'data: [DONE]\n\n'])
          return
        }
        const whole = `${(words.match(/./gsu) ?? []).map((letter) => event({ content: letter }, null)).join('')}${event({}, 'stop')}data: [DONE]\n\n`
        // Cut without regard to lines and letters.
        const events = Buffer.from(whole)
        for (let at = 0; at < events.length; at += 701) response.write(events.subarray(at, at + 701))
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

function encode(bytes: Buffer, encoding: NonNullable<AnswerSpec['encoding']>): Buffer {
  switch (encoding) {
    case 'gzip':
      return gzipSync(bytes)
    case 'deflate':
      return deflateSync(bytes)
    case 'br':
      return brotliCompressSync(bytes)
    case 'zstd':
      return zstdRaw(bytes)
    case 'gzip, br':
      return brotliCompressSync(gzipSync(bytes))
    case 'broken':
      return bytes
    case 'unknown':
      return Buffer.from(bytes.map((byte) => byte ^ 0x55))
  }
}

/** A zstd frame with one block that is not compressed (RFC 8878): Node 20 has no encoder. */
function zstdRaw(bytes: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt32LE(0xfd2fb528, 0)
  // Single segment, with a content size of four bytes.
  header[4] = 0xa0
  header.writeUInt32LE(bytes.length, 5)
  header.writeUIntLE((bytes.length << 3) | 1, 9, 3)
  return Buffer.concat([header, bytes])
}
