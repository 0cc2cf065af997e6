// Owns the running service: assembles its parts, listens on both protocols, and shuts down in order.

import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Classifier } from '../classifier/classifier.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import type { Monitor } from '../monitor/monitor.js'
import type { Projection } from '../projection/projection.js'
import type { AlertingOptions } from './alerting.js'
import { isLoopback, refuseOpenAddress, type ApiKeys } from './api-keys.js'
import type { LocalContexts } from './conversations/local-contexts.js'
import type { ConversationStore } from './conversations/store.js'
import { startGrpc, type GrpcServer } from './grpc/server.js'
import { buildHttpApp, type ProxyOptions } from './http/app.js'
import { DEFAULT_LIMITS, type Limits } from './limits.js'
import { Service } from './service.js'
import { NoDetector } from './no-detector.js'
import type { Tenants } from './tenants.js'
import { packageVersion } from '../package-folder.js'

/** Parts and options of a service. The caller keeps ownership of embedder and monitor; the store is closed with the service. */
export interface ServeOptions {
  readonly embedder: Embedder
  /** Further models, asked for by their names. */
  readonly embedders?: readonly Embedder[]
  readonly monitor: Monitor | NoDetector
  readonly store: ConversationStore
  readonly keys: ApiKeys
  readonly logger: Logger
  readonly projection?: Projection | null
  /** Answers /predict and /rerank; the caller keeps ownership. */
  readonly classifier?: Classifier | null
  readonly limits?: Partial<Limits>
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Default 8080; 0 takes a free one. */
  readonly port?: number
  /** Default 50051; 0 takes a free one, null disables gRPC. */
  readonly grpcPort?: number | null
  /** Files in PEM form, for both protocols. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Runs as a proxy in front of this upstream. */
  readonly proxy?: ProxyOptions
  /** Who is told of alerts; nobody but the log by default. */
  readonly alerting?: AlertingOptions
  /** By what each tenant's conversations are judged; all by `monitor` by default. */
  readonly tenants?: Tenants
  /** Keeps the words of conversations out of store, events and alerts; null stores them. */
  readonly contexts?: LocalContexts | null
}

/** A running service. */
export interface RunningService {
  readonly service: Service
  readonly http: FastifyInstance
  readonly url: string
  readonly port: number
  /** Null without gRPC. */
  readonly grpcPort: number | null
  /** Refuses new requests and waits for those in flight, at most `drainMs`. */
  stop(drainMs?: number): Promise<void>
}

/** Default milliseconds for requests in flight to finish. */
const DRAIN_MS = 20_000
/** Maximum for deliveries of alerts in flight; what is not delivered stays queued. */
const ALERTS_MS = 2000

/** @throws GabionError `INVALID_ARGUMENT` for a public address without keys, `UNAVAILABLE` for an address in use */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const { embedder, monitor, store, keys, logger, projection = null, host = '127.0.0.1', port = 8080, grpcPort = 50051 } = options
  refuseOpenAddress(host, keys)
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const tls = options.tls === undefined ? null : { cert: await readFile(options.tls.cert), key: await readFile(options.tls.key) }
  if (tls === null && !isLoopback(host)) logger.warn({ host }, 'without TLS, keys and texts cross the network unencrypted')
  await store.check()
  const service = new Service({
    embedder,
    embedders: options.embedders ?? [],
    monitor,
    store,
    limits,
    projection,
    classifier: options.classifier ?? null,
    version: packageVersion(),
    logger,
    ...(options.alerting !== undefined && { alerting: options.alerting }),
    contexts: options.contexts ?? null,
    ...(options.tenants !== undefined && { tenants: options.tenants }),
  })
  if (monitor instanceof NoDetector) logger.warn({ reason: monitor.reason }, 'no conversations are judged')
  await service.alerting.start()
  const http = await buildHttpApp(service, { keys, logger, tls, proxy: options.proxy ?? null })
  const idle = new IdleConnections(http.server)
  try {
    await http.listen({ host, port })
  } catch (cause) {
    await http.close()
    await service.alerting.stop(0)
    throw new GabionError('UNAVAILABLE', `cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause })
  }
  let grpc: GrpcServer | null = null
  try {
    if (grpcPort !== null) grpc = await startGrpc(service, host, grpcPort, { keys, logger, tls })
  } catch (error) {
    await http.close()
    await service.alerting.stop(0)
    throw error
  }
  const bound = (http.server.address() as AddressInfo).port
  const url = `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${bound}`
  return {
    service,
    http,
    url,
    port: bound,
    grpcPort: grpc?.port ?? null,
    stop: async (drainMs = DRAIN_MS) => {
      service.stop()
      const done = idle.close(drainMs)
      await Promise.all([http.close(), grpc?.stop(drainMs)])
      done()
      await service.alerting.stop(Math.min(drainMs, ALERTS_MS))
      await store.close()
    },
  }
}

const POLL_MS = 20

/** A server's connections without a request in flight, so that a shutdown does not wait for keep-alive clients. */
class IdleConnections {
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
