// OpenAI's chat completions, and its completions of a prompt.

import { randomUUID } from 'node:crypto'
import { Calls, callsOf } from './calls.js'
import { ChoiceStream, MESSAGE_CHOICE, TEXT_CHOICE } from './chat-completions-stream.js'
import { messagesOf, readContent } from './content.js'
import {
  copied,
  eventOf,
  fieldsOf,
  listOf,
  now,
  stringOf,
  type ChatProtocol,
  type CompletionInfo,
  type ReadCompletion,
  type ReplyReader,
} from './protocol.js'

interface Choice {
  text: string
  readonly calls: Calls
  /** Had text, even if empty, or tool calls: what a client shows of the choice is known. */
  readable: boolean
}

/** Collects the words and calls of every choice. */
abstract class ChoiceReader implements ReplyReader {
  readonly #choices = new Map<unknown, Choice>()
  #info: CompletionInfo = {}
  #failed = false
  #isError = false

  whole(response: unknown): void {
    this.#take(response, 'message')
  }

  part(data: unknown): void {
    this.#take(data, 'delta')
  }

  read(): ReadCompletion {
    const choices = [...this.#choices.values()]
    const readable = choices.length > 0 ? choices.every((choice) => choice.readable) : this.#isError
    const replies = choices.map(({ text, calls }) => ({ words: text, calls: calls.text() }))
    return { replies, readable: readable && !this.#failed, info: this.#info }
  }

  /** Reads a choice into `collected`; false if it has an unknown part. */
  protected abstract readChoice(choice: Readonly<Record<string, unknown>>, field: 'message' | 'delta', collected: Choice): boolean

  #take(response: unknown, field: 'message' | 'delta'): void {
    if (typeof response !== 'object' || response === null) {
      this.#failed = true
      return
    }
    const { id, model, choices, error } = fieldsOf(response)
    this.#info = { id: this.#info.id ?? stringOf(id), model: this.#info.model ?? stringOf(model) }
    if (error !== undefined && error !== null) this.#isError = true
    if (Array.isArray(choices)) for (const choice of choices as unknown[]) this.#takeChoice(choice, field)
    else if (!this.#isError) this.#failed = true
  }

  #takeChoice(choice: unknown, field: 'message' | 'delta'): void {
    const fields = fieldsOf(choice)
    const index = fields.index ?? 0
    const collected = this.#choices.get(index) ?? { text: '', calls: new Calls(), readable: false }
    this.#choices.set(index, collected)
    if (!this.readChoice(fields, field, collected)) this.#failed = true
  }
}

class MessageReader extends ChoiceReader {
  protected override readChoice(choice: Readonly<Record<string, unknown>>, field: 'message' | 'delta', collected: Choice): boolean {
    const message = choice[field]
    const { content, refusal, tool_calls: tools } = fieldsOf(message)
    const calls = callsOf(message)
    let whole = true
    if (content !== undefined && content !== null) {
      const read = readContent(content, '')
      collected.text += read?.text ?? ''
      collected.readable ||= read !== null
      whole = read?.whole === true
    }
    if (typeof refusal === 'string') {
      collected.text += refusal
      collected.readable = true
    }
    for (const call of calls) collected.calls.add(call)
    if (Array.isArray(tools) || calls.length > 0) collected.readable = true
    return whole
  }
}

class TextReader extends ChoiceReader {
  protected override readChoice({ text }: Readonly<Record<string, unknown>>, _: string, collected: Choice): boolean {
    if (typeof text !== 'string') return false
    collected.text += text
    collected.readable = true
    return true
  }
}

const COPIED_FIELDS = ['id', 'object', 'created', 'model', 'usage', 'system_fingerprint', 'service_tier']

const failure: ChatProtocol['failure'] = (code, message) => eventOf({ error: { message, type: 'server_error', code } })

/** `/chat/completions`. */
export const chatCompletions: ChatProtocol = {
  framing: 'events',
  readRequest(body) {
    const { messages, stream, model } = fieldsOf(body)
    return { messages: messagesOf(messages), stream: stream === true, model: stringOf(model) }
  },
  reader: () => new MessageReader(),
  stream: () => new ChoiceStream(MESSAGE_CHOICE, (info) => identityOf(info, 'chat.completion.chunk')),
  replacement(info, message, response) {
    const choice = {
      index: 0,
      message: { role: 'assistant', content: message, refusal: null },
      finish_reason: 'content_filter',
      logprobs: null,
    }
    return { ...identityOf(info, 'chat.completion'), ...copied(response, COPIED_FIELDS), choices: [choice] }
  },
  replacementStream(info, message) {
    const common = identityOf(info, 'chat.completion.chunk')
    const event = (delta: object, finish: string | null): string =>
      eventOf({ ...common, choices: [{ index: 0, delta, finish_reason: finish }] })
    return `${event({ role: 'assistant', content: message }, null)}${event({}, 'content_filter')}data: [DONE]\n\n`
  },
  failure,
}

/** `/v1/completions`. */
export const textCompletions: ChatProtocol = {
  framing: 'events',
  readRequest(body) {
    const { prompt, stream, model } = fieldsOf(body)
    const prompts = typeof prompt === 'string' ? [prompt] : listOf(prompt)
    const readable = prompts.length > 0 && prompts.every((text) => typeof text === 'string')
    return {
      messages: readable ? [{ role: 'user', text: prompts.join('\n') }] : null,
      stream: stream === true,
      model: stringOf(model),
    }
  },
  reader: () => new TextReader(),
  stream: () => new ChoiceStream(TEXT_CHOICE, (info) => identityOf(info, 'text_completion')),
  replacement(info, message, response) {
    return { ...identityOf(info, 'text_completion'), ...copied(response, COPIED_FIELDS), choices: [textChoice(message)] }
  },
  replacementStream(info, message) {
    return `${eventOf({ ...identityOf(info, 'text_completion'), choices: [textChoice(message)] })}data: [DONE]\n\n`
  },
  failure,
}

function textChoice(text: string): object {
  return { index: 0, text, finish_reason: 'content_filter', logprobs: null }
}

function identityOf({ id, model }: CompletionInfo, object: string): object {
  return { id: id ?? `chatcmpl-${randomUUID()}`, object, created: now(), model: model ?? '' }
}
