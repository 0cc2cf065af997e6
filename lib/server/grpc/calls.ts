// Owns the frame of every gRPC call: request id, deadline, cancellation, API key check, coded failure.

import type { ServerErrorResponse, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import type { Logger } from 'pino'
import type { ApiKeys } from '../api-keys.js'
import { MAX_DEADLINE_MS, RequestContext, requestIdOf } from '../request-context.js'
import type { Service } from '../service.js'
import { isWorthRetrying, RETRY_AFTER_SECONDS, toPublicFailure } from '../status.js'
import { Metadata } from './packages.js'

/** The common part of unary and streaming calls. */
export interface AnyCall {
  readonly metadata: Metadata
  readonly cancelled: boolean
  getDeadline(): Date | number
  on(event: 'cancelled', listener: () => void): unknown
  sendMetadata(metadata: Metadata): void
}

/** Runs handlers in that frame. */
export class Calls {
  readonly #service: Service
  readonly #keys: ApiKeys
  readonly #logger: Logger

  constructor(service: Service, keys: ApiKeys, logger: Logger) {
    this.#service = service
    this.#keys = keys
    this.#logger = logger
  }

  /** A handler with one request and one response. */
  unary<Request, Response>(
    route: string,
    handle: (request: Request, context: RequestContext) => Promise<Response>,
  ): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
    return (call, callback) => {
      const started = performance.now()
      const context = this.open(call)
      const done = (code: string): void => {
        context.end()
        this.count(route, code, started)
      }
      this.#run(call, () => handle(call.request, context)).then(
        (response) => {
          done('OK')
          callback(null, response)
        },
        (error: unknown) => {
          const failure = this.failure(error, context)
          done(String(failure.metadata?.get('gabion-code')[0] ?? 'INTERNAL'))
          callback(failure)
        },
      )
    }
  }

  /** Makes a call's context, and sends the request id as initial metadata. */
  open(call: AnyCall, unbounded = false): RequestContext {
    const id = requestIdOf(call.metadata.get('x-request-id')[0])
    const { requestMs } = this.#service.limits
    const remaining = Number(call.getDeadline()) - Date.now()
    const deadline = unbounded ? MAX_DEADLINE_MS : Math.max(0, Math.min(remaining, requestMs))
    const context = new RequestContext(id, deadline, call.metadata.getMap())
    call.on('cancelled', () => context.leave())
    const metadata = new Metadata()
    metadata.set('x-request-id', id)
    call.sendMetadata(metadata)
    return context
  }

  /** @throws GabionError `UNAUTHENTICATED` */
  check({ metadata }: AnyCall): void {
    const [authorization] = metadata.get('authorization')
    const [bare] = metadata.get('x-api-key')
    this.#keys.check(authorization?.toString(), bare?.toString())
  }

  /** An error as gRPC sends it. */
  failure(error: unknown, context: RequestContext): Partial<ServerErrorResponse> & { code: number; details: string } {
    const { code, message, grpc } = toPublicFailure(error)
    if (code === 'INTERNAL') this.#logger.error({ err: error, code, requestId: context.id }, 'failed')
    const metadata = new Metadata()
    metadata.set('gabion-code', code)
    metadata.set('x-request-id', context.id)
    if (isWorthRetrying(code)) metadata.set('retry-after', String(RETRY_AFTER_SECONDS))
    return { code: grpc, details: message, metadata }
  }

  /** Counts and logs a completed call. */
  count(route: string, code: string, started: number): void {
    const seconds = (performance.now() - started) / 1000
    this.#service.metrics.answered('grpc', route, code, seconds)
    this.#logger.info({ method: 'grpc', route, status: code, ms: Math.round(seconds * 1e5) / 100 }, 'answered')
  }

  async #run<T>(call: AnyCall, handle: () => Promise<T>): Promise<T> {
    this.check(call)
    return await handle()
  }
}
