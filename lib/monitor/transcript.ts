// Owns transcript files: format detection, and reading of their conversations one by one.
// Knows no embedder and no detector.

import type * as Csv from 'csv-parse/sync'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { isGabionError, type GabionError } from '../errors.js'
import { ExchangeAssembler, inTurnOrder, type Message, type TranscriptExchange } from './exchanges.js'
import { columnNames, isEntry, parseJson, readEntry, transcriptInvalid, type Entry } from './transcript-entry.js'
import { numberedLines } from './transcript-lines.js'
import { lazily } from '../lazy.js'

const csv = lazily<typeof Csv>('csv-parse/sync')

export type { TranscriptExchange } from './exchanges.js'

/** A conversation of a transcript. */
export interface TranscriptConversation {
  /** Its `id`, or else its file's name (with the line in a file with several). */
  readonly id: string
  readonly exchanges: readonly TranscriptExchange[]
  /** User messages after the last reply. */
  readonly pending: readonly string[]
  /** Corrections made while reading; mostly empty. */
  readonly notes: readonly string[]
}

/** `json`: one document; `jsonl`: one conversation per line; `csv`: a header and one message per line. */
export type TranscriptForm = 'json' | 'jsonl' | 'csv'

/** Stands for standard input in place of a file name. */
export const STANDARD_INPUT = '-'

const LIST_FIELDS = ['turns', 'conversation', 'messages'] as const

/**
 * Reads the conversations of a file, or of standard input for `-`. A `.jsonl` or `.ndjson` file is read line by line, so
 * it may be larger than memory.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with file, line or entry, and field
 */
export async function* readTranscript(file: string): AsyncGenerator<TranscriptConversation> {
  const name = file === STANDARD_INPUT ? 'standard input' : file
  try {
    if (formOfName(file) === 'jsonl') {
      let found = false
      for await (const { line, text } of numberedLines(createReadStream(file), name)) {
        found = true
        yield readLine(text, line, name)
      }
      if (!found) throw nothingIn(name)
      return
    }
    yield* parseTranscript(await readWhole(file, name), name)
  } catch (cause) {
    if (isGabionError(cause)) throw cause
    throw transcriptInvalid(name, `cannot be read: ${(cause as Error).message}`, cause)
  }
}

/**
 * Reads the conversations in a text. The default format is detected from the name's extension and the text.
 *
 * @param name for errors, and for conversations without `id`
 * @throws GabionError `TRANSCRIPT_INVALID`
 */
export function parseTranscript(text: string, name: string, form?: TranscriptForm): TranscriptConversation[] {
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text
  if (body.trim() === '') throw nothingIn(name)
  switch (form ?? formOfName(name) ?? formOfText(body, name)) {
    case 'csv':
      return readCsv(body, name)
    case 'jsonl':
      return readLines(body, name)
    case 'json':
      return readDocument(body, name)
  }
}

function formOfName(name: string): TranscriptForm | undefined {
  switch (extname(name).toLowerCase()) {
    case '.csv':
      return 'csv'
    case '.jsonl':
    case '.ndjson':
      return 'jsonl'
    default:
      return undefined
  }
}

/** Text that starts like JSON is JSON; with more than one line, the first of them a complete object, it is JSON Lines. */
function formOfText(text: string, name: string): TranscriptForm {
  const [first = '', ...rest] = text.trim().split(/\r?\n/)
  if (!/^[[{]/.test(first)) return extname(name).toLowerCase() === '.json' ? 'json' : 'csv'
  if (first.startsWith('[') || rest.every((line) => line.trim() === '')) return 'json'
  try {
    JSON.parse(first)
    return 'jsonl'
  } catch {
    return 'json'
  }
}

function nothingIn(name: string): GabionError {
  return transcriptInvalid(name, 'it contains no conversation')
}

async function readWhole(file: string, name: string): Promise<string> {
  const chunks: Buffer[] = []
  if (file === STANDARD_INPUT) for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Buffer | string))
  else chunks.push(await readFile(file))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw transcriptInvalid(name, 'it is not UTF-8 text', cause)
  }
}

function readDocument(text: string, name: string): TranscriptConversation[] {
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch (cause) {
    throw transcriptInvalid(`${name}${lineOfSyntaxError(cause as Error, text)}`, `it is not JSON: ${(cause as Error).message}`, cause)
  }
  if (Array.isArray(root) && root.length > 0 && root.every((item) => isEntry(item) && listOf(item) !== undefined)) {
    return root.map((item: Entry, index) =>
      readConversation(item, `${name}: conversation ${String(index + 1)}`, `${nameless(name)}:${String(index + 1)}`),
    )
  }
  return [readConversation(root, name, nameless(name))]
}

function lineOfSyntaxError(error: Error, text: string): string {
  const position = /position (\d+)/.exec(error.message)?.[1]
  return position === undefined ? '' : `: line ${String(text.slice(0, Number(position)).split('\n').length)}`
}

function readLines(text: string, name: string): TranscriptConversation[] {
  return text.split(/\r?\n/).flatMap((line, index) => (line.trim() === '' ? [] : [readLine(line, index + 1, name)]))
}

function readLine(text: string, line: number, name: string): TranscriptConversation {
  const where = `${name}: line ${String(line)}`
  return readConversation(parseJson(text, where), where, `${nameless(name)}:${String(line)}`)
}

/** Reads a list of messages, or an object that contains one. */
function readConversation(value: unknown, where: string, fallbackId: string): TranscriptConversation {
  if (Array.isArray(value)) return assemble(fallbackId, readEntries(value, where))
  if (!isEntry(value)) throw transcriptInvalid(where, 'a conversation must be an object or a list of messages')
  const list = listOf(value)
  if (list === undefined) throw transcriptInvalid(where, `field 'turns' (or 'conversation', 'messages') must be a list of messages`)
  const { id } = value
  if (id !== undefined && id !== null && typeof id !== 'string' && typeof id !== 'number') {
    throw transcriptInvalid(where, `field 'id' must be a string or a number`)
  }
  const { system } = value
  if (system !== undefined && system !== null && typeof system !== 'string')
    throw transcriptInvalid(where, `field 'system' must be a string`)
  return assemble(id === undefined || id === null ? fallbackId : String(id), readEntries(list, where), system ?? null)
}

function listOf(entry: Entry): readonly unknown[] | undefined {
  return LIST_FIELDS.map((field) => entry[field]).find((value): value is readonly unknown[] => Array.isArray(value))
}

function readEntries(list: readonly unknown[], where: string): Message[] {
  return list.flatMap((entry, index) => readEntry(entry, `${where}: entry ${String(index + 1)}`))
}

/** Rows are grouped by their `conversation` column; a file without one is a single conversation. */
function readCsv(text: string, name: string): TranscriptConversation[] {
  let rows: { record: Entry; info: { lines: number } }[]
  try {
    rows = csv().parse(text, { columns: columnNames, info: true, skip_empty_lines: true })
  } catch (cause) {
    const { lines } = cause as { lines?: number }
    throw transcriptInvalid(
      lines === undefined ? name : `${name}: line ${String(lines)}`,
      `it is not CSV: ${(cause as Error).message}`,
      cause,
    )
  }
  const conversations = new Map<string, Message[]>()
  for (const { record, info } of rows) {
    const id = typeof record.conversation === 'string' && record.conversation !== '' ? record.conversation : nameless(name)
    const messages = conversations.get(id) ?? []
    messages.push(...readEntry(record, `${name}: line ${String(info.lines)}`))
    conversations.set(id, messages)
  }
  if (conversations.size === 0)
    throw transcriptInvalid(name, `it contains no message: expected a header 'turn,speaker,message' and one message per line`)
  return Array.from(conversations, ([id, messages]) => assemble(id, messages))
}

function assemble(id: string, unordered: readonly Message[], system: string | null = null): TranscriptConversation {
  const { messages, moved } = inTurnOrder(unordered)
  const assembler = new ExchangeAssembler(system)
  const exchanges = messages.map((message) => assembler.push(message)).filter((exchange) => exchange !== null)
  const notes: string[] = []
  if (moved) notes.push('messages were not in the order of their turn numbers and were sorted')
  if (assembler.repeated > 0) notes.push(`${String(assembler.repeated)} repeated message(s) were dropped`)
  return { id, exchanges, pending: assembler.pending, notes }
}

function nameless(name: string): string {
  return basename(name, extname(name))
}
