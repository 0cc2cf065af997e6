// An exchange as a detector sees it, for tests of detectors: embedded already, and in a conversation of the test's choice.

import type { ConversationContext, ConversationExchange, EmbeddedExchange } from '../../lib/detection/detector.js'

/** The exchange; texts other than its own cannot be embedded. */
export function exchangeIn(embedded: EmbeddedExchange, context: Partial<ConversationContext> = {}): ConversationExchange {
  return {
    system: null,
    rules: [],
    history: [],
    ...context,
    user: embedded.user.text,
    assistant: embedded.assistant.text,
    embedded: () => Promise.resolve(embedded),
    embed: () => Promise.reject(new Error('this exchange embeds no other texts')),
  }
}
