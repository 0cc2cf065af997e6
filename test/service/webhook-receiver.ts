// A receiver of webhooks whose answers a test says; it keeps what it got, and ends with the test file.

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { atEnd } from './ending.js'

/** One request. */
export interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A receiver. */
export interface Receiver {
  readonly url: string
  readonly got: Received[]
  /** The status of the answer to the last request of `got`. */
  answer: () => number
}

/** Starts one on a free port of the loopback address, with these headers in every answer. */
export async function startReceiver(headers: Record<string, string> = {}): Promise<Receiver> {
  const receiver = { url: '', got: [] as Received[], answer: () => 204 }
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      receiver.got.push({ headers: request.headers, body })
      response.writeHead(receiver.answer(), headers).end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  receiver.url = `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`
  return receiver
}
