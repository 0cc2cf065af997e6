// What a client gets in the place of a reply that is held back: the same form, other words, finished by the content filter.

/** The form of a whole answer, with the words in place of every choice's. */
export function heldAnswer(answer: object, words: string): object {
  return {
    ...answer,
    choices: [{ index: 0, message: { role: 'assistant', content: words, refusal: null }, finish_reason: 'content_filter', logprobs: null }],
  }
}

/** The form of a stream. */
export function heldStream({ id, model }: { id: string; model: string }, words: string): string {
  const created = Math.floor(Date.now() / 1000)
  const event = (delta: object, finish: string | null): string =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
  return `${event({ role: 'assistant', content: words }, null)}${event({}, 'content_filter')}data: [DONE]\n\n`
}
