// Owns the forms that are a list of messages in a field of their own: gabion's, and those of the providers' requests.

import { readContent } from '../content.js'
import { wholeConversationOf } from '../conversation-name.js'
import type { Message } from '../exchanges.js'
import { isExchange, isMessage, readEntry, type EntryOptions } from '../message.js'
import { isEntry, present, readOrReport, shown, transcriptInvalid, type Entry } from '../problem.js'
import type { Form, ReadContext, WholePiece } from './form.js'

/** Fields of lists of messages. */
const LIST_FIELDS = ['turns', 'conversation', 'messages', 'contents'] as const
/** Fields that are lists of messages only if their entries are messages. */
const LOOSE_LIST_FIELDS = ['conversations', 'history', 'dialogue', 'dialog', 'chat'] as const
const SYSTEM_FIELDS = ['system', 'system_prompt', 'systemPrompt', 'systemInstruction', 'system_instruction', 'instructions'] as const

/** Reads a list of messages or exchanges; an entry that cannot be read is reported and left out. */
export function readMessages(list: readonly unknown[], context: ReadContext, options: EntryOptions = context): Message[] {
  return list.flatMap((entry, index) => {
    const where = `${context.where}: entry ${String(index + 1)}`
    return readOrReport(context.onProblem, () => readEntry(entry, where, options)) ?? []
  })
}

/** The system prompt of a request, as a message. */
export function readSystem(entry: Entry, where: string): Message[] {
  return SYSTEM_FIELDS.filter((field) => present(entry[field]))
    .map((field): Message => ({ role: 'system', text: readContent(entry[field], field, where).words, turn: null }))
    .filter(({ text }) => text !== '')
}

/** The list of messages of an object, if it has one. */
export function listOf(entry: Entry): readonly unknown[] | undefined {
  const list = LIST_FIELDS.map((field) => entry[field]).find((value): value is readonly unknown[] => Array.isArray(value))
  return list ?? LOOSE_LIST_FIELDS.map((field) => entry[field]).find(isMessageList)
}

/** Whether a value is a list of messages or exchanges: one of its entries is either. */
export function isMessageList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.some((entry) => isMessage(entry) || isExchange(entry))
}

function readWhole(record: unknown, context: ReadContext): WholePiece[] {
  const { where, conversationField } = context
  if (Array.isArray(record)) return [{ kind: 'whole', conversation: null, messages: readMessages(record, context) }]
  if (!isEntry(record)) throw transcriptInvalid(where, `a conversation must be an object or a list of messages, got ${shown(record)}`)
  const list = listOf(record)
  if (list === undefined) throw transcriptInvalid(where, `field 'turns' (or 'conversation', 'messages') must be a list of messages`)
  const conversation = wholeConversationOf(
    Array.isArray(record.conversation) ? { ...record, conversation: null } : record,
    where,
    conversationField,
  )
  return [{ kind: 'whole', conversation, messages: [...readSystem(record, where), ...readMessages(list, context)] }]
}

/** The messages of a record that is a list of messages or has one. */
function messagesIn(record: unknown): readonly Entry[] {
  const list = Array.isArray(record) ? (record as unknown[]) : isEntry(record) ? (listOf(record) ?? []) : []
  return list.filter(isEntry)
}

function partsOf(record: unknown): Entry[] {
  return messagesIn(record).flatMap(({ content, parts }) =>
    [content, parts].flatMap((list) => (Array.isArray(list) ? list.filter(isEntry) : [])),
  )
}

function isListRecord(record: unknown): boolean {
  if (!isEntry(record)) return isMessageList(record)
  return listOf(record) !== undefined || 'turns' in record || 'messages' in record
}

/** Anthropic's types of parts that the others do not have. */
const ANTHROPIC_PARTS = ['tool_use', 'tool_result', 'thinking', 'redacted_thinking', 'server_tool_use']

/** The forms of lists, the more special ones first. */
export const LIST_FORMS: readonly Form[] = [
  {
    name: 'ai-sdk',
    title: "Vercel AI SDK: a chat's UIMessages",
    example:
      '{"id":"c1","messages":[{"id":"m1","role":"user","parts":[{"type":"text","text":"Are you open?"}]},{"id":"m2","role":"assistant","parts":[{"type":"step-start"},{"type":"text","text":"From nine."}]}]}',
    matches: (record) =>
      isListRecord(record) &&
      messagesIn(record).some(({ parts }) => Array.isArray(parts) && parts.some((part) => isEntry(part) && 'type' in part)),
    read: readWhole,
  },
  {
    name: 'gemini',
    title: "Google Gemini: a request's contents, or a chat's history",
    example:
      '{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"Are you open?"}]},{"role":"model","parts":[{"text":"From nine."}]}]}',
    matches: (record) => isListRecord(record) && messagesIn(record).some(({ parts }) => Array.isArray(parts)),
    read: readWhole,
  },
  {
    name: 'bedrock',
    title: "Amazon Bedrock: a Converse request's messages",
    example:
      '{"system":[{"text":"Be brief."}],"messages":[{"role":"user","content":[{"text":"Are you open?"}]},{"role":"assistant","content":[{"text":"From nine."}]}]}',
    matches: (record) =>
      isListRecord(record) && partsOf(record).some((part) => !('type' in part) && (typeof part.text === 'string' || isEntry(part.toolUse))),
    read: readWhole,
  },
  {
    name: 'anthropic',
    title: "Anthropic: a request's messages",
    example:
      '{"system":"Be brief.","messages":[{"role":"user","content":"Are you open?"},{"role":"assistant","content":[{"type":"text","text":"From nine."}]}]}',
    matches: (record) =>
      isListRecord(record) &&
      ((isEntry(record) && 'system' in record && Array.isArray(record.messages)) ||
        partsOf(record).some(({ type }) => ANTHROPIC_PARTS.includes(String(type)))),
    read: readWhole,
  },
  {
    name: 'sharegpt',
    title: 'ShareGPT and its relatives: conversations of from and value',
    example: '{"id":"c1","conversations":[{"from":"human","value":"Are you open?"},{"from":"gpt","value":"From nine."}]}',
    matches: (record) => isListRecord(record) && messagesIn(record).some((entry) => 'from' in entry && 'value' in entry),
    read: readWhole,
  },
  {
    name: 'openai',
    title: 'OpenAI: chat messages, fine-tuning lines',
    example:
      '{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Are you open?"},{"role":"assistant","content":"From nine."}]}',
    matches: (record) => isListRecord(record) && messagesIn(record).some((entry) => 'role' in entry),
    read: readWhole,
  },
  {
    name: 'turns',
    title: "gabion's own: turns of speaker and message, or of user and assistant",
    example:
      '{"id":"c1","system":"Be brief.","turns":[{"turn":1,"speaker":"user","message":"Are you open?"},{"turn":1,"speaker":"llm","message":"From nine."}]}',
    matches: isListRecord,
    read: readWhole,
  },
]
