// What a client gets in the place of a reply that is blocked: the same form with the replacement message, finished by the content filter.

import { randomUUID } from 'node:crypto'

/** What the answer of the upstream says about itself, as far as it is known. */
export interface AnswerFacts {
  readonly id?: string | undefined
  readonly model?: string | undefined
}

// Nothing else of the upstream's answer is kept: any other field may repeat the words.
const KEPT_FIELDS = ['id', 'object', 'created', 'model', 'usage', 'system_fingerprint', 'service_tier'] as const

/** The form of a whole answer, with the message in place of every choice's words. */
export function replacementAnswer(answer: unknown, { model }: AnswerFacts, message: string): object {
  const { id, created } = newFacts()
  const fields = (typeof answer === 'object' ? answer : null) as Record<string, unknown> | null
  const kept = Object.fromEntries(KEPT_FIELDS.flatMap((name) => (fields?.[name] === undefined ? [] : [[name, fields[name]]])))
  const choice = {
    index: 0,
    message: { role: 'assistant', content: message, refusal: null },
    finish_reason: 'content_filter',
    logprobs: null,
  }
  return { id, object: 'chat.completion', created, model: model ?? '', ...kept, choices: [choice] }
}

/** The form of a stream. */
export function replacementStream(facts: AnswerFacts, message: string): string {
  const { id, created } = newFacts()
  const about = { id: facts.id ?? id, object: 'chat.completion.chunk', created, model: facts.model ?? '' }
  const event = (delta: object, finish: string | null): string =>
    `data: ${JSON.stringify({ ...about, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
  return `${event({ role: 'assistant', content: message }, null)}${event({}, 'content_filter')}data: [DONE]\n\n`
}

function newFacts(): { id: string; created: number } {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000) }
}
