// Owns the moment of a conversation at which a reply is being written. Knows no store.

import { HISTORY_EXCHANGES, type ConversationContext, type Detector, type Exchange } from '../../detection/detector.js'
import { afterExchange, instructed, NO_CONTEXT } from '../../monitor/context.js'
import { readSavedConversation } from '../../monitor/saved-conversation.js'
import { checkpointOf } from './branch.js'
import type { ConversationRecord } from './record.js'

/** Where in a tree of exchanges a reply is being written. */
export interface ReplyPlace {
  readonly conversation: string
  readonly tenant: string | null
  /** The exchange before; undefined for the first one, null for the last one of the conversation. */
  readonly after: string | undefined | null
  /** The exchanges before, of which the last count. */
  readonly history: readonly Exchange[]
  readonly user: string
  /** Null or empty for the system prompt of the tenant. */
  readonly system: string | null
}

/** State and context before the reply. A state that is not stored any more is that of a new conversation. */
export function momentAt(
  record: ConversationRecord | undefined,
  { after, history, system }: ReplyPlace,
  detector: Detector,
  ownSystem: string | null,
): { readonly state: unknown; readonly context: ConversationContext } {
  const state = after === null ? record?.saved.state : checkpointOf(record, after ?? '')?.state
  const moment =
    record === undefined || state === undefined
      ? { state: detector.start(), context: NO_CONTEXT }
      : readSavedConversation({ ...record.saved, state }, detector)
  const context = history.slice(-HISTORY_EXCHANGES).reduce(afterExchange, { ...moment.context, history: [] })
  return { state: moment.state, context: instructed(context, { system: system === null || system === '' ? ownSystem : system }) }
}
