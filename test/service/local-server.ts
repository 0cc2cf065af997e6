// An HTTP server of a test's own on a free port of the loopback address, which ends with the file.

import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { atEnd } from './ending.js'

/** Starts one; returns its address. */
export async function startServer(handle: RequestListener): Promise<string> {
  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
}
