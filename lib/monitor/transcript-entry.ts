// Owns reading of a transcript entry: field names and error messages.
// Knows parsed values, not files: the caller passes an entry's location.

import { GabionError } from '../errors.js'
import type { Message, Role } from './exchanges.js'

const ROLES: Readonly<Record<string, Role>> = {
  user: 'user',
  human: 'user',
  assistant: 'assistant',
  llm: 'assistant',
  ai: 'assistant',
  model: 'assistant',
  system: 'system',
  developer: 'system',
  tool: 'context',
  function: 'context',
}
const ROLE_FIELDS = ['speaker', 'role'] as const
const TEXT_FIELDS = ['message', 'content', 'text'] as const
const REPLY_FIELDS = ['assistant', 'model'] as const

/** An object of parsed JSON or a record of a CSV file. */
export type Entry = Readonly<Record<string, unknown>>

/** The error for a transcript; `where` is file, line and entry. */
export function transcriptInvalid(where: string, problem: string, cause?: unknown): GabionError {
  return new GabionError('TRANSCRIPT_INVALID', `${where}: ${problem}`, cause === undefined ? {} : { cause })
}

/** Parses JSON; `where` is file and line. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw transcriptInvalid(where, `it is not JSON: ${(cause as Error).message}`, cause)
  }
}

/** True for an object that is not an array. */
export function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Normalizes column names, since spreadsheets vary case and spaces. */
export function columnNames(header: readonly string[]): string[] {
  return header.map((column) => column.trim().toLowerCase())
}

/**
 * Reads one entry: a message (`speaker` or `role`, and `message`, `content` or `text`), or a whole exchange (`user`, and
 * `assistant` or `model`, possibly after its `system` prompt), which is up to three messages. Other fields are ignored.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with `where` and the field
 */
export function readEntry(value: unknown, where: string): Message[] {
  if (!isEntry(value)) throw transcriptInvalid(where, `an entry must be an object, got ${shown(value)}`)
  const turn = readTurn(value, where)
  const roleField = ROLE_FIELDS.find((field) => present(value[field]))
  if (roleField === undefined && ['user', ...REPLY_FIELDS].some((field) => field in value)) return readExchange(value, turn, where)
  return [{ ...readMessage(value, roleField, where), turn }]
}

function readMessage(entry: Entry, roleField: (typeof ROLE_FIELDS)[number] | undefined, where: string): { role: Role; text: string } {
  if (roleField === undefined) throw transcriptInvalid(where, `field 'speaker' (or 'role') is missing`)
  const name = entry[roleField]
  const role = typeof name === 'string' ? ROLES[name.trim().toLowerCase()] : undefined
  if (role === undefined) {
    throw transcriptInvalid(where, `field '${roleField}' must be one of ${Object.keys(ROLES).join(', ')}, got ${shown(name)}`)
  }
  const textField = TEXT_FIELDS.find((field) => present(entry[field]))
  if (textField !== undefined) return { role, text: readText(entry[textField], textField, where) }
  // A chat message with only tool calls has no text for the user, so it is not a reply.
  if (role === 'assistant' && present(entry.tool_calls)) return { role: 'context', text: JSON.stringify(entry.tool_calls) }
  throw transcriptInvalid(where, `field 'message' (or 'content', 'text') is missing`)
}

function readExchange(entry: Entry, turn: number | null, where: string): Message[] {
  const messages: Message[] = []
  if (present(entry.system)) messages.push({ role: 'system', text: readText(entry.system, 'system', where), turn })
  if (present(entry.user)) messages.push({ role: 'user', text: readText(entry.user, 'user', where), turn })
  const replyField = REPLY_FIELDS.find((field) => present(entry[field]))
  if (replyField !== undefined) messages.push({ role: 'assistant', text: readText(entry[replyField], replyField, where), turn })
  return messages
}

/** Reads a string, or joins the text parts of a chat message's content. */
function readText(value: unknown, field: string, where: string): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) throw transcriptInvalid(where, `field '${field}' must be a string or a list of parts, got ${shown(value)}`)
  return value
    .map((part: unknown) => {
      if (typeof part === 'string') return part
      if (!isEntry(part))
        throw transcriptInvalid(where, `field '${field}' has a part that is neither text nor an object, got ${shown(part)}`)
      return typeof part.text === 'string' ? part.text : ''
    })
    .filter((text) => text !== '')
    .join('\n')
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

function present(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** A value in an error: only its kind, or a short string, since transcripts may be private. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 30 ? `a string of ${String(value.length)} characters` : JSON.stringify(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
