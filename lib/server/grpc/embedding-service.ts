// EmbeddingService of gabion.proto.

import type { ServerDuplexStream, UntypedServiceImplementation } from '@grpc/grpc-js'
import { GabionError } from '../../errors.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import type { Calls } from './calls.js'
import { toEmbedResponse, type EmbedRequest } from './messages.js'

// Pending requests per stream: enough to keep the encoder busy, few enough not to starve other streams.
const MAX_PENDING_PER_STREAM = 16

/** The implementation. */
export function embeddingService(service: Service, calls: Calls): UntypedServiceImplementation {
  const embed = async (request: EmbedRequest, context: RequestContext): Promise<object> => {
    const { texts, promptName, project, model: requested, dimensions } = request
    service.admission.refuseIfFull()
    if (project && (promptName !== undefined || dimensions !== undefined))
      throw new GabionError('INVALID_ARGUMENT', 'project cannot be combined with prompt_name or dimensions')
    if (project && service.models.requested(requested) !== service.models.main)
      throw new GabionError('INVALID_ARGUMENT', `the projection is one of ${service.models.names[0]}: omit model`)
    const { model, batch } = project
      ? { model: service.models.main.info.model, batch: await service.project(texts, context) }
      : await service.embed({ texts, prompt: promptName, model: requested, dimensions }, context)
    return toEmbedResponse(batch, model)
  }

  return {
    embed: calls.unary('Embed', embed),

    embedStream(call: ServerDuplexStream<EmbedRequest, object>) {
      const started = performance.now()
      const context = calls.open(call, true)
      let last: Promise<void> = Promise.resolve()
      let pending = 0
      let over = false
      const end = (code: string, error?: unknown): void => {
        if (over) return
        over = true
        context.end()
        calls.count('EmbedStream', code, started)
        if (error === undefined) call.end()
        else call.emit('error', calls.failure(error, context))
      }
      try {
        calls.check(call)
      } catch (error) {
        end('UNAUTHENTICATED', error)
        return
      }
      call.on('data', (request: EmbedRequest) => {
        if (++pending >= MAX_PENDING_PER_STREAM) call.pause()
        const answer = embed(request, context)
        answer.catch(() => undefined)
        last = last.then(async () => {
          const response = await answer
          if (over) return
          call.write(response)
          if (--pending < MAX_PENDING_PER_STREAM) call.resume()
        })
        last.catch((error: unknown) => {
          context.leave()
          end('failed', error)
        })
      })
      call.on('end', () => {
        last.then(
          () => end('OK'),
          () => undefined,
        )
      })
      call.on('error', () => end('CANCELLED'))
    },
  }
}
