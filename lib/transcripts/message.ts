// Owns reading of a transcript entry: a message or an exchange, by the field names of all known forms. Knows parsed values, not files:
// the caller passes an entry's location.

import { jsonText, readContent, type Content } from './content.js'
import type { Message, Role } from './exchanges.js'
import { firstField, isEntry, present, shown, transcriptInvalid, type Entry } from './problem.js'
import { timeOf } from './order.js'
import { roleOf, SPEAKER_NAMES, type AssistantNames } from './speakers.js'

const ROLE_FIELDS = ['role', 'speaker', 'from', 'sender', 'author', 'type'] as const
const TEXT_FIELDS = ['content', 'message', 'text', 'value', 'parts', 'body'] as const
const CALL_FIELDS = ['tool_calls', 'function_call', 'toolCalls', 'toolInvocations', 'tool_responses'] as const
const USER_FIELDS = ['user', 'human', 'prompt', 'question', 'query', 'instruction', 'input', 'user_message', 'userMessage'] as const
/** `model` is last: next to another reply it is the model's name. */
const REPLY_FIELDS = [
  'assistant',
  'response',
  'answer',
  'completion',
  'output',
  'reply',
  'bot',
  'ai',
  'gpt',
  'assistant_message',
  'assistantMessage',
  'model',
] as const

/** Items of OpenAI's Responses without words for the user. */
const ITEM_TYPES =
  /(_call|_call_output|_output|_approval_request|_approval_response)$|^(reasoning|item_reference|mcp_list_tools|compaction)$/

/** How entries are read. */
export interface EntryOptions {
  /** The assistant's own names. */
  readonly assistants: AssistantNames | null
  /** The role of a message that has none. */
  readonly defaultRole?: Role
}

/** Whether a value looks like a message: it has a speaker and content, or calls tools. */
export function isMessage(value: unknown): value is Entry {
  if (!isEntry(value)) return false
  const entry = unwrapped(value)
  if (isItem(entry)) return true
  return roleField(entry) !== undefined && [...TEXT_FIELDS, ...CALL_FIELDS, 'refusal', 'audio'].some((field) => field in entry)
}

/** Whether a value looks like a whole exchange, or one side of it. */
export function isExchange(value: unknown): value is Entry {
  if (!isEntry(value) || roleField(value) !== undefined) return false
  if (USER_FIELDS.some((field) => present(value[field])) && REPLY_FIELDS.some((field) => field in value)) return true
  return (present(value.user) || present(value.assistant)) && !TEXT_FIELDS.some((field) => field in value)
}

/**
 * Reads one entry: a message, or a whole exchange (possibly after its system prompt), as messages in order. Content of several kinds
 * becomes several messages.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with `where` and the field
 */
export function readEntry(value: unknown, where: string, options: EntryOptions): Message[] {
  if (!isEntry(value)) throw transcriptInvalid(where, `an entry must be an object, got ${shown(value)}`)
  const messages = isExchange(value) ? readExchange(value, where) : readMessage(value, where, options)
  const time = timeOf(value)
  return time === null ? messages : messages.map((message) => ({ ...message, time }))
}

/**
 * Reads a message.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with `where` and the field
 */
export function readMessage(value: unknown, where: string, { assistants, defaultRole }: EntryOptions): Message[] {
  if (!isEntry(value)) throw transcriptInvalid(where, `an entry must be an object, got ${shown(value)}`)
  const turn = readTurn(value, where)
  const entry = unwrapped(value)
  if (isItem(entry)) return [{ role: 'context', text: jsonText(entry), turn }]
  const field = roleField(entry, assistants)
  const role = field === undefined ? defaultRole : roleOf(speakerOf(entry, field), assistants)
  if (role === undefined) throw wrongRole(entry, field, where)
  return messagesOf(role, contentOf(entry, role, where), turn)
}

/** A message of the content's words, and the calls and results of tools before a user's and after an assistant's. */
export function messagesOf(role: Role, { words, context }: Content, turn: number | null = null): Message[] {
  const said: Message[] = words === '' && role !== 'user' && context.length > 0 ? [] : [{ role, text: words, turn }]
  const tools = context.map((text): Message => ({ role: 'context', text, turn }))
  if (role === 'user') return words === '' && tools.length > 0 ? tools : [...tools, ...said]
  return role === 'context' ? [{ role, text: [words, ...context].filter((text) => text !== '').join('\n'), turn }] : [...said, ...tools]
}

/** The message itself, of an object that has it in a field of its own or is one of LangChain's serialized ones. */
function unwrapped(entry: Entry): Entry {
  const { message, kwargs, data, id } = entry
  if (isEntry(message) && roleField(message) !== undefined) return message
  if (isEntry(kwargs) && Array.isArray(id) && roleOf(id.at(-1)) !== undefined) return { ...kwargs, role: id.at(-1) as unknown }
  if (isEntry(data) && roleOf(entry.type) !== undefined && 'content' in data) return { ...data, role: entry.type }
  return entry
}

/** The field that says who speaks; `type` only where it does. */
function roleField(entry: Entry, assistants: AssistantNames | null = null): (typeof ROLE_FIELDS)[number] | undefined {
  const field = firstField(entry, ROLE_FIELDS)
  if (field !== 'type') return field
  const named = assistants === null ? roleOf(entry.type) : assistants.has(String(entry.type)) ? 'assistant' : roleOf(entry.type)
  return named === undefined ? undefined : field
}

function speakerOf(entry: Entry, field: (typeof ROLE_FIELDS)[number]): unknown {
  const speaker = entry[field]
  return isEntry(speaker) ? (speaker.role ?? speaker.type) : speaker
}

function isItem({ type, role }: Entry): boolean {
  return role === undefined && typeof type === 'string' && ITEM_TYPES.test(type)
}

function wrongRole(entry: Entry, field: string | undefined, where: string): Error {
  if (field === undefined) return transcriptInvalid(where, `field 'speaker' (or 'role') is missing`)
  const speaker = speakerOf(entry, field as (typeof ROLE_FIELDS)[number])
  const names = SPEAKER_NAMES.join(', ')
  return transcriptInvalid(where, `field '${field}' must be one of ${names} (--assistant-is names others), got ${shown(speaker)}`)
}

function contentOf(entry: Entry, role: Role, where: string): Content {
  const fields = TEXT_FIELDS.filter((field) => present(entry[field]))
  const contents = fields.map((field) => readContent(entry[field], field, where))
  // Claude's export has an empty list of parts next to the text.
  const content = contents.find(({ words, context }) => words !== '' || context.length > 0) ?? contents[0]
  const words = [content?.words ?? '', wordsIn(entry.refusal), isEntry(entry.audio) ? wordsIn(entry.audio.transcript) : '']
  const calls = CALL_FIELDS.flatMap((field) => (present(entry[field]) ? [jsonText(entry[field])] : []))
  const context = [...(content?.context ?? []), ...calls]
  const text = words.filter((one) => one !== '').join('\n')
  if (content === undefined && text === '' && calls.length === 0) checkAbsent(entry, role, where)
  return { words: text, context }
}

/** Content may be null, but for a user. */
function checkAbsent(entry: Entry, role: Role, where: string): void {
  const field = TEXT_FIELDS.find((name) => name in entry)
  if (field === undefined) throw transcriptInvalid(where, `field 'message' (or 'content', 'text') is missing`)
  if (role === 'user') throw transcriptInvalid(where, `field '${field}' must be a string or a list of parts, got null`)
}

function wordsIn(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function readExchange(entry: Entry, where: string): Message[] {
  const turn = readTurn(entry, where)
  const messages: Message[] = []
  const add = (role: Role, field: string | undefined): void => {
    if (field !== undefined && present(entry[field])) messages.push(...messagesOf(role, readContent(entry[field], field, where), turn))
  }
  const userField = firstField(entry, USER_FIELDS)
  add('system', 'system')
  add('user', userField)
  // Alpaca's sets have the material of an instruction in a field of its own.
  if (userField === 'instruction' && entry.input !== '') add('user', 'input')
  add('assistant', firstField(entry, REPLY_FIELDS))
  return messages
}

/** Numbers may be strings, from CSV files. */
function readTurn(entry: Entry, where: string): number | null {
  const { turn } = entry
  if (!present(turn) || turn === '') return null
  const number = typeof turn === 'string' ? Number(turn.trim() === '' ? NaN : turn) : turn
  if (typeof number !== 'number' || !Number.isFinite(number))
    throw transcriptInvalid(where, `field 'turn' must be a number, got ${shown(turn)}`)
  return number
}
