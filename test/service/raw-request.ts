// A request line as it is written, which no client library would send, over a socket of its own.

import { once } from 'node:events'
import { connect } from 'node:net'

/** The bytes of the answer as Latin-1; the request line's target goes out as it is. */
export async function rawRequest(port: number, target: string, method = 'GET', headers: readonly string[] = []): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const lines = [`${method} ${target} HTTP/1.1`, `host: 127.0.0.1:${port}`, 'connection: close', ...headers]
  socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
  let answer = ''
  socket.setEncoding('latin1').on('data', (part: string) => (answer += part))
  socket.on('error', () => undefined)
  await once(socket, 'close')
  return answer
}
