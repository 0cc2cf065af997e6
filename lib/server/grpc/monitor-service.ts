// MonitorService of gabion.proto.

import type { ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js'
import { GabionError } from '../../errors.js'
import type { NumberedChange } from '../events.js'
import type { Service } from '../service.js'
import { idOfTenant } from '../tenants.js'
import type { Calls } from './calls.js'
import { toConversation, toVerdict, type AddExchangeRequest, type ConversationRequest } from './messages.js'

// Messages that may wait for a slow reader.
const MAX_UNREAD_MESSAGES = 4096

/** The implementation. */
export function monitorService(service: Service, calls: Calls): UntypedServiceImplementation {
  return {
    addExchange: calls.unary('AddExchange', async ({ exchangeId, exchange, rules = [], ...rest }: AddExchangeRequest, context) => {
      service.admission.refuseIfFull()
      const tenant = service.tenants.nameIn(context.headers)
      const conversation = idOfTenant(tenant, rest.conversation)
      const added = {
        ...rest,
        conversation,
        tenant,
        rules: rules.length === 0 ? null : rules,
        exchangeId: exchangeId ?? null,
        exchange: exchange ?? null,
      }
      const { verdict } = await service.addExchange(added, context)
      return toVerdict(verdict)
    }),

    getConversation: calls.unary('GetConversation', async ({ conversation }: ConversationRequest, { headers }) =>
      toConversation(await service.conversation(idOfTenant(service.tenants.nameIn(headers), conversation))),
    ),

    watch(call: ServerWritableStream<ConversationRequest, object>) {
      const started = performance.now()
      const context = calls.open(call, true)
      let unwatch = (): void => undefined
      let over = false
      const end = (code: string, error?: unknown): void => {
        if (over) return
        over = true
        unwatch()
        context.end()
        calls.count('Watch', code, started)
        if (error !== undefined) call.emit('error', calls.failure(error, context))
      }
      const send = ({ change }: NumberedChange): void => {
        const { conversation } = change
        if (change.kind === 'acknowledged') return
        call.write(change.kind === 'exchange' ? { conversation, verdict: toVerdict(change.verdict) } : { conversation, deleted: true })
        if (call.writableLength > MAX_UNREAD_MESSAGES) end('OVERLOADED', new GabionError('OVERLOADED', 'the events were not read'))
      }
      try {
        calls.check(call)
        const { conversation } = call.request
        const watched = conversation === '' ? null : idOfTenant(service.tenants.nameIn(context.headers), conversation)
        const stopped = (): void => end('UNAVAILABLE', new GabionError('UNAVAILABLE', 'the service is stopping'))
        unwatch = service.watch(watched, null, send, stopped)
      } catch (error) {
        end('failed', error)
        return
      }
      call.on('cancelled', () => end('CANCELLED'))
    },
  }
}
