// Owns the response to a client whose reply is blocked: same format, with the replacement message and finish reason `content_filter`.

import { randomUUID } from 'node:crypto'

/** Metadata of the upstream's response, as far as known. */
export interface CompletionInfo {
  readonly id?: string | undefined
  readonly model?: string | undefined
}

// Other fields of the upstream's response are dropped: any of them may repeat the blocked text.
const COPIED_FIELDS = ['id', 'object', 'created', 'model', 'usage', 'system_fingerprint', 'service_tier'] as const

/** A non-streamed response with the replacement message as its only choice. */
export function replacementCompletion(response: unknown, { model }: CompletionInfo, message: string): object {
  const { id, created } = newIdentity()
  const fields = (typeof response === 'object' ? response : null) as Record<string, unknown> | null
  const copied = Object.fromEntries(COPIED_FIELDS.flatMap((name) => (fields?.[name] === undefined ? [] : [[name, fields[name]]])))
  const choice = {
    index: 0,
    message: { role: 'assistant', content: message, refusal: null },
    finish_reason: 'content_filter',
    logprobs: null,
  }
  return { id, object: 'chat.completion', created, model: model ?? '', ...copied, choices: [choice] }
}

/** A streamed response with the replacement message. */
export function replacementStream(info: CompletionInfo, message: string): string {
  const { id, created } = newIdentity()
  const common = { id: info.id ?? id, object: 'chat.completion.chunk', created, model: info.model ?? '' }
  const event = (delta: object, finish: string | null): string =>
    `data: ${JSON.stringify({ ...common, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
  return `${event({ role: 'assistant', content: message }, null)}${event({}, 'content_filter')}data: [DONE]\n\n`
}

function newIdentity(): { id: string; created: number } {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000) }
}
