// Reads OpenAI's chat form: messages of a request, the reply of an answer, whole or as a stream. Reads only what it needs.

import type { ChatMessage } from '../../monitor/chat.js'

interface Part {
  text?: unknown
}

/** The texts of a request's messages; null for a body that is not of this form: it is upstream's to judge. */
export function messagesOf(body: unknown): ChatMessage[] | null {
  const messages = (body as { messages?: unknown } | null)?.messages
  if (!Array.isArray(messages)) return null
  return messages.flatMap((message: { role?: unknown; content?: unknown } | null) =>
    typeof message?.role === 'string' ? [{ role: message.role, text: textOf(message.content) }] : [],
  )
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.flatMap((part: Part | null) => (typeof part?.text === 'string' ? [part.text] : [])).join('\n')
}

/** The reply of a whole answer: its first choice. */
export function replyOf(answer: unknown): string {
  const choices = (answer as { choices?: { message?: { content?: unknown } }[] } | null)?.choices
  return textOf(Array.isArray(choices) ? choices[0]?.message?.content : undefined)
}

/** Gathers the reply of a stream of events from its parts, wherever they are cut. */
export class StreamedReply {
  readonly #decoder = new TextDecoder()
  #rest = ''
  #reply = ''
  #id = ''
  #model = ''

  get reply(): string {
    return this.#reply
  }

  /** The id and model that the events name, for events made here. */
  get about(): { id: string; model: string } {
    return { id: this.#id, model: this.#model }
  }

  push(chunk: Uint8Array): void {
    this.#rest += this.#decoder.decode(chunk, { stream: true })
    const lines = this.#rest.split(/\r?\n/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data:')) this.#take(line.slice(5).trim())
  }

  #take(data: string): void {
    if (data === '[DONE]') return
    try {
      const event = JSON.parse(data) as { id?: unknown; model?: unknown; choices?: { index?: unknown; delta?: { content?: unknown } }[] }
      if (typeof event.id === 'string') this.#id = event.id
      if (typeof event.model === 'string') this.#model = event.model
      const choice = event.choices?.find(({ index }) => index === 0 || index === undefined)
      if (typeof choice?.delta?.content === 'string') this.#reply += choice.delta.content
    } catch {
      // Not ours to judge; it is passed on as it is.
    }
  }
}
