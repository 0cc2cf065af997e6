// Assembles the gRPC server: the services of gabion.proto, health, reflection, TLS. Knows the use cases only through Service.

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { Logger } from 'pino'
import { GabionError } from '../../errors.js'
import type { ApiKeys } from '../api-keys.js'
import type { Service } from '../service.js'
import { Calls } from './calls.js'
import { classifierService } from './classifier-service.js'
import { embeddingService } from './embedding-service.js'
import { monitorService } from './monitor-service.js'
import { HEALTH_PROTO_FILE, HealthImplementation, ReflectionService, Server, ServerCredentials, loadSync } from './packages.js'
import { packagePath } from '../../package-folder.js'

export const PROTO_FILE = packagePath('protocol', 'gabion', 'v1', 'gabion.proto')

const SERVICES = ['gabion.v1.EmbeddingService', 'gabion.v1.MonitorService', 'gabion.v1.ClassifierService'] as const

const HEALTH_SERVICE = 'grpc.health.v1.Health'

/** Options of the gRPC server. */
export interface GrpcOptions {
  readonly keys: ApiKeys
  readonly logger: Logger
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null
}

/** A running gRPC server. */
export interface GrpcServer {
  readonly port: number
  /** Refuses new calls and waits for those in flight; after `drainMs` these are cancelled. */
  stop(drainMs: number): Promise<void>
}

/** Starts listening. */
export async function startGrpc(service: Service, host: string, port: number, { keys, logger, tls }: GrpcOptions): Promise<GrpcServer> {
  const definition = loadSync(PROTO_FILE, { longs: Number, enums: String, defaults: true, arrays: true, oneofs: true })
  const server = new Server({
    'grpc.max_receive_message_length': service.limits.bodyBytes,
    'grpc.max_send_message_length': -1,
  })
  const calls = new Calls(service, keys, logger)
  const add = (name: (typeof SERVICES)[number], implementation: UntypedServiceImplementation): void => {
    server.addService(definition[name] as ServiceDefinition, implementation)
  }
  add(SERVICES[0], embeddingService(service, calls))
  add(SERVICES[1], monitorService(service, calls))
  add(SERVICES[2], classifierService(service, calls))
  const health = new HealthImplementation(Object.fromEntries(['', ...SERVICES].map((name) => [name, 'SERVING'])))
  health.addToServer(server)
  // Clients like grpcurl know a service by reflection alone, also that of health.
  const reflected = { ...definition, ...loadSync(HEALTH_PROTO_FILE) }
  new ReflectionService(reflected, { services: [...SERVICES, HEALTH_SERVICE] }).addToServer(server)

  const credentials =
    tls === null ? ServerCredentials.createInsecure() : ServerCredentials.createSsl(null, [{ cert_chain: tls.cert, private_key: tls.key }])
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host.includes(':') ? `[${host}]` : host}:${port}`, credentials, (error, boundPort) => {
      if (error === null) resolve(boundPort)
      else reject(new GabionError('UNAVAILABLE', `gRPC cannot listen on ${host}:${port}: ${error.message}`, { cause: error }))
    })
  })
  return {
    port: bound,
    stop: (drainMs) =>
      new Promise((resolve) => {
        for (const name of ['', ...SERVICES]) health.setStatus(name, 'NOT_SERVING')
        const cut = setTimeout(() => server.forceShutdown(), drainMs)
        server.tryShutdown(() => {
          clearTimeout(cut)
          resolve()
        })
      }),
  }
}
