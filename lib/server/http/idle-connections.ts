// Closes connections on which nothing is under way, so that a server that ends does not wait for clients that keep them open.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

const LOOK_MS = 20

/** Watches a server's connections from its start. */
export class IdleConnections {
  readonly #server: Server
  // Node counts a connection without any request as busy; browsers and clients open such in advance.
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

  /** Closes idle connections, and others as they become idle, until the returned function is called; `drainMs` ends all of them. */
  close(drainMs: number): () => void {
    const look = setInterval(() => {
      this.#server.closeIdleConnections()
      for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
    }, LOOK_MS)
    const cut = setTimeout(() => this.#server.closeAllConnections(), drainMs)
    return () => {
      clearInterval(look)
      clearTimeout(cut)
    }
  }
}
