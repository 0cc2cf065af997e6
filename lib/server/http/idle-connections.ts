// Closes connections without a request in flight, so that a shutdown does not wait for keep-alive clients.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

const POLL_MS = 20

/** Tracks a server's connections from its start. */
export class IdleConnections {
  readonly #server: Server
  // Node counts a connection without any request as busy; browsers and clients preconnect.
  readonly #sockets = new Set<Socket>()

  constructor(server: Server) {
    this.#server = server
    for (const event of ['connection', 'secureConnection']) {
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
      })
    }
  }

  /** Closes connections as they become idle until the returned function is called, and all of them after `drainMs`. */
  close(drainMs: number): () => void {
    const poll = setInterval(() => {
      this.#server.closeIdleConnections()
      for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
    }, POLL_MS)
    const cut = setTimeout(() => this.#server.closeAllConnections(), drainMs)
    return () => {
      clearInterval(poll)
      clearTimeout(cut)
    }
  }
}
