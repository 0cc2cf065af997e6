// Owns what is said in a request to a model and in its response, in the forms of all providers. Knows no record around them.

import { readContent } from '../content.js'
import type { Message } from '../exchanges.js'
import { isExchange, isMessage, messagesOf, type EntryOptions } from '../message.js'
import { isEntry, present, readOrReport, type Entry } from '../problem.js'
import type { ReadContext } from './form.js'
import { listOf, readMessages, readSystem } from './lists.js'
import { structured } from './structured.js'

/** Objects around a request or a response; none has more. */
const MAX_DEPTH = 6

const REQUEST_WRAPPERS = ['body', 'request', 'inputs', 'input', 'kwargs', 'params', 'inputBodyJson'] as const
const REQUEST_TEXTS = ['prompt', 'question', 'query', 'human_input', 'message', 'text', 'content'] as const
const REPLY_WRAPPERS = ['body', 'response', 'message', 'output', 'outputs', 'result', 'outputBodyJson'] as const
const REPLY_TEXTS = ['completion', 'answer', 'output_text', 'text', 'generated_text', 'content'] as const

/** The messages of a request, its system prompt first. */
export function historyOf(request: unknown, context: ReadContext, depth = 0): Message[] {
  const value = structured(request)
  if (typeof value === 'string') return value.trim() === '' ? [] : [{ role: 'user', text: value, turn: null }]
  if (Array.isArray(value)) return messagesIn(value as unknown[], context, 'user')
  if (!isEntry(value) || depth > MAX_DEPTH) return []
  if (looksLikeMessage(value)) return readMessages([value], context)
  const system = readSystem(value, context.where)
  const list = listOf(value) ?? (Array.isArray(value.chat_history) ? (value.chat_history as unknown[]) : undefined)
  const earlier = list === undefined ? [] : messagesIn(list, context, 'user')
  // A list of messages is the whole request, but for a chain's history next to its input.
  const isWhole = earlier.length > 0 && !('chat_history' in value) && !('history' in value)
  return [...system, ...earlier, ...(isWhole ? [] : restOf(value, context, depth))]
}

function restOf(value: Entry, context: ReadContext, depth: number): Message[] {
  for (const field of REQUEST_WRAPPERS) if (present(value[field])) return historyOf(value[field], context, depth + 1)
  const field = REQUEST_TEXTS.find((name) => present(value[name]))
  return field === undefined ? [] : historyOf(value[field], context, depth + 1)
}

/** The messages of a response, without those of the request, which graphs of agents repeat. */
export function replyOf(response: unknown, history: readonly Message[], context: ReadContext): Message[] {
  const said = spoken(history)
  const reply = responseOf(response, context, 0)
  const known = spoken(reply)
  const repeats = said.length > 0 && said.every((text, index) => known[index] === text)
  if (!repeats) return reply
  let left = said.length
  return reply.filter((message) => {
    if (left === 0) return true
    if (isSpoken(message)) left--
    return false
  })
}

/** What user and assistant said, each with its role. */
export function spoken(messages: readonly Message[]): string[] {
  return messages.filter(isSpoken).map(({ role, text }) => `${role} ${text.trim()}`)
}

/** Whether a message has words of user or assistant. */
export function isSpoken({ role, text }: Message): boolean {
  return (role === 'user' || role === 'assistant') && text.trim() !== ''
}

function responseOf(response: unknown, context: ReadContext, depth: number): Message[] {
  const value = structured(response)
  if (typeof value === 'string') return value.trim() === '' ? [] : [{ role: 'assistant', text: value, turn: null }]
  if (Array.isArray(value)) return messagesIn(value as unknown[], context, 'assistant')
  if (!isEntry(value) || depth > MAX_DEPTH) return []
  const { choices, candidates, generations } = value
  if (Array.isArray(choices)) return firstOf(choices, ['message', 'delta', 'text'], context, depth)
  if (Array.isArray(candidates)) return firstOf(candidates, ['content'], context, depth)
  if (Array.isArray(generations)) return firstOf((generations as unknown[]).flat(), ['message', 'text'], context, depth)
  const list = listOf(value)
  if (list !== undefined) return messagesIn(list, context, 'assistant')
  if (looksLikeMessage(value)) return messagesIn([value], context, 'assistant')
  const wrapper = REPLY_WRAPPERS.find((field) => present(value[field]))
  if (wrapper !== undefined) return responseOf(value[wrapper], context, depth + 1)
  if (present(value.content) || present(value.tool_calls) || present(value.parts)) return messagesIn([value], context, 'assistant')
  const text = REPLY_TEXTS.find((field) => present(value[field]))
  return text === undefined ? [] : responseOf(value[text], context, depth + 1)
}

/** The first of several replies. */
function firstOf(list: readonly unknown[], fields: readonly string[], context: ReadContext, depth: number): Message[] {
  const first = list[0]
  if (!isEntry(first)) return responseOf(first, context, depth + 1)
  const field = fields.find((name) => present(first[name]))
  return field === undefined ? [] : responseOf(first[field], context, depth + 1)
}

/** Without narrowing, since a value that is none is looked into. */
function looksLikeMessage(value: unknown): boolean {
  return isMessage(value)
}

/** A list of messages, of lists of them (LangSmith has one per prompt), or of parts of content. */
function messagesIn(list: readonly unknown[], context: ReadContext, defaultRole: 'user' | 'assistant'): Message[] {
  const [first] = list
  if (Array.isArray(first))
    return messagesIn(
      (first as unknown[]).filter((item) => !Array.isArray(item)),
      context,
      defaultRole,
    )
  const options: EntryOptions = { assistants: context.assistants, defaultRole }
  if (list.some((item) => isMessage(item) || isExchange(item)) || list.some((item) => isEntry(item) && 'content' in item))
    return readMessages(list, context, options)
  return readOrReport(context.onProblem, () => contentMessages(list, context.where, defaultRole)) ?? []
}

function contentMessages(list: readonly unknown[], where: string, role: 'user' | 'assistant'): Message[] {
  const content = readContent(list, 'content', where)
  return content.words === '' && content.context.length === 0 ? [] : messagesOf(role, content)
}
