// Owns conversations that arrive as lines: yields each exchange as soon as a line completes it.
// Knows no embedder and no detector.

import { parse as parseCsv } from 'csv-parse/sync'
import { ExchangeAssembler, type Message, type TranscriptExchange } from './exchanges.js'
import { columnNames, isEntry, parseJson, readEntry, transcriptInvalid, type Entry } from './transcript-entry.js'
import { numberedLines, type NumberedLine } from './transcript-lines.js'

/** Event of a followed stream: a completed exchange, or the user messages without a reply at the end. */
export type FollowedEvent =
  | { readonly kind: 'exchange'; readonly conversation: string; readonly exchange: TranscriptExchange }
  | { readonly kind: 'pending'; readonly conversation: string; readonly pending: readonly string[] }

/** Conversation of lines without one. */
const UNNAMED = 'stream'

/**
 * Follows a stream of lines: JSON objects (a message, an exchange, or `turns` of either; `conversation` or `id` is their
 * conversation), or CSV with a header. Messages are taken in the order of arrival. At the end, conversations with unanswered user
 * messages are reported.
 *
 * @param name for errors
 * @throws GabionError `TRANSCRIPT_INVALID` with line and field
 */
export async function* followTranscript(chunks: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<FollowedEvent> {
  const assemblers = new Map<string, ExchangeAssembler>()
  for await (const { conversation, messages } of arrivals(numberedLines(chunks, name), name)) {
    const assembler = assemblers.get(conversation) ?? new ExchangeAssembler()
    assemblers.set(conversation, assembler)
    for (const message of messages) {
      const exchange = assembler.push(message)
      if (exchange !== null) yield { kind: 'exchange', conversation, exchange }
    }
  }
  for (const [conversation, { pending }] of assemblers) {
    if (pending.length > 0) yield { kind: 'pending', conversation, pending }
  }
}

interface Arrival {
  conversation: string
  messages: Message[]
}

async function* arrivals(lines: AsyncGenerator<NumberedLine>, name: string): AsyncGenerator<Arrival> {
  const first = await lines.next()
  if (first.done === true) return
  const all = startingWith(first.value, lines)
  yield* first.value.text.trimStart().startsWith('{') ? jsonArrivals(all, name) : csvArrivals(all, name)
}

async function* startingWith(first: NumberedLine, rest: AsyncGenerator<NumberedLine>): AsyncGenerator<NumberedLine> {
  yield first
  yield* rest
}

async function* jsonArrivals(lines: AsyncGenerator<NumberedLine>, name: string): AsyncGenerator<Arrival> {
  for await (const { line, text } of lines) {
    const where = `${name}: line ${String(line)}`
    const value = parseJson(text, where)
    if (!isEntry(value)) throw transcriptInvalid(where, 'a line must be a JSON object')
    const entries: readonly unknown[] | undefined = Array.isArray(value.turns) ? value.turns : undefined
    const messages = entries?.flatMap((entry, index) => readEntry(entry, `${where}: entry ${String(index + 1)}`)) ?? readEntry(value, where)
    const system =
      entries !== undefined && typeof value.system === 'string' ? readEntry({ role: 'system', content: value.system }, where) : []
    yield { conversation: conversationOf(value), messages: [...system, ...messages] }
  }
}

async function* csvArrivals(lines: AsyncGenerator<NumberedLine>, name: string): AsyncGenerator<Arrival> {
  let columns: string[] | null = null
  let open: NumberedLine | null = null
  for await (const next of lines) {
    // A quoted field may span lines; blank ones were skipped and are restored here.
    const text: string = open === null ? next.text : open.text + '\n'.repeat(next.line - open.line) + next.text
    const fields = readRow(text, `${name}: line ${String(next.line)}`)
    open = fields === null ? { line: next.line, text } : null
    if (fields === null) continue
    if (columns === null) columns = columnNames(fields)
    else yield readRecord(columns, fields, `${name}: line ${String(next.line)}`)
  }
  if (open !== null) throw transcriptInvalid(`${name}: line ${String(open.line)}`, 'it is not CSV: a quote is not closed')
}

/** The fields of a row, or null while a quoted field is still open. */
function readRow(text: string, where: string): string[] | null {
  try {
    return parseCsv(text)[0] ?? []
  } catch (cause) {
    if ((cause as { code?: string }).code === 'CSV_QUOTE_NOT_CLOSED') return null
    throw transcriptInvalid(where, `it is not CSV: ${(cause as Error).message}`, cause)
  }
}

function readRecord(columns: readonly string[], fields: readonly string[], where: string): Arrival {
  if (fields.length !== columns.length) {
    throw transcriptInvalid(where, `it is not CSV: the header has ${String(columns.length)} columns, this row ${String(fields.length)}`)
  }
  const record: Entry = Object.fromEntries(columns.map((column, index) => [column, fields[index]]))
  return { conversation: conversationOf(record), messages: readEntry(record, where) }
}

function conversationOf({ conversation, id }: Entry): string {
  const name = conversation ?? id
  return typeof name === 'string' && name !== '' ? name : typeof name === 'number' ? String(name) : UNNAMED
}
