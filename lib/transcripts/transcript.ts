// Owns transcript files: reading of their conversations one by one. Knows no embedder and no detector.

import { createReadStream } from 'node:fs'
import { basename, extname } from 'node:path'
import { isGabionError } from '../errors.js'
import { sourceName } from '../files/lines.js'
import { CONVERSATION_FIELDS } from './conversation-name.js'
import type { SourceName, SourceRecord } from './document.js'
import { decodedLines } from './encoding.js'
import { ExchangeAssembler, type Message, type TranscriptExchange } from './exchanges.js'
import type { Container } from './forms/index.js'
import type { MessagesPiece, Piece, RequestPiece, WholePiece } from './forms/form.js'
import { readOptions, type ReadOptions, type TranscriptOptions } from './options.js'
import { inOrder, inTimeOrder } from './order.js'
import { transcriptInvalid } from './problem.js'
import { readRecord } from './read-record.js'
import { RecordSource, type SourceLine } from './record-source.js'
import { RequestThreads } from './request-threads.js'

export type { TranscriptExchange } from './exchanges.js'
export type { TranscriptOptions } from './options.js'

/** A conversation of a transcript. */
export interface TranscriptConversation {
  /** Its name in the transcript, or else its file's name (with line or number in a file with several). */
  readonly id: string
  readonly exchanges: readonly TranscriptExchange[]
  /** User messages after the last reply. */
  readonly pending: readonly string[]
  /** What was corrected, left out or assumed while reading; mostly empty. */
  readonly notes: readonly string[]
}

/** Stands for standard input in place of a file name. */
export const STANDARD_INPUT = '-'

/**
 * Reads the conversations of a file, or of standard input for `-`, in any known form and encoding. Conversations that are complete with
 * their line are given at once, so that a file of them may be larger than memory.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with file, line or entry, and field, unless the options have `onProblem`; where the file cannot
 * be read, always
 */
export async function* readTranscript(file: string, options?: TranscriptOptions): AsyncGenerator<TranscriptConversation> {
  const name = sourceName(file)
  const read = readOptions(options)
  const collector = new Collector(name, read)
  try {
    const chunks: AsyncIterable<Buffer> = file === STANDARD_INPUT ? process.stdin : createReadStream(file)
    for await (const line of decodedLines(chunks, name, read.onNote)) yield* collector.push(line)
    yield* collector.end()
  } catch (cause) {
    if (isGabionError(cause)) throw cause
    throw transcriptInvalid(name, `cannot be read: ${(cause as Error).message}`, cause)
  }
}

/**
 * Reads the conversations in a text. Kind of file and form are found by looking, unless they are given.
 *
 * @param name for errors, and for conversations without a name
 * @param options or only the kind of file
 * @throws GabionError `TRANSCRIPT_INVALID`, unless the options have `onProblem`; `INVALID_ARGUMENT`
 */
export function parseTranscript(text: string, name: string, options?: TranscriptOptions | Container): TranscriptConversation[] {
  const collector = new Collector(name, readOptions(typeof options === 'string' ? { format: options } : options))
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  const conversations = lines.flatMap((line, index) => collector.push({ text: line, number: index + 1 }))
  return [...conversations, ...collector.end()]
}

/** Puts the records of one file together to conversations. */
class Collector {
  readonly #source: SourceName
  readonly #options: ReadOptions
  readonly #records: RecordSource
  /** Messages of conversations over several records, by name; the empty name is that of records without one. */
  readonly #groups = new Map<string, MessagesPiece[]>()
  readonly #requests: { readonly piece: RequestPiece; readonly fallback: string }[] = []
  #wordless = 0
  #found = 0

  constructor(name: string, options: ReadOptions) {
    this.#source = { name, base: basename(name, extname(name)) }
    // Problems count as found: a file of them is not called empty.
    const onProblem = (problem: Parameters<ReadOptions['onProblem']>[0]): void => {
      this.#found++
      options.onProblem(problem)
    }
    this.#options = { ...options, onProblem }
    this.#records = new RecordSource(this.#source, this.#options)
  }

  push(line: SourceLine): TranscriptConversation[] {
    return this.#records.push(line).flatMap((record) => this.#take(record))
  }

  end(): TranscriptConversation[] {
    const whole = this.#records.end().flatMap((record) => this.#take(record))
    const conversations = [...whole, ...this.#collected(), ...this.#threads()]
    if (this.#found === 0) this.#options.onProblem(transcriptInvalid(this.#source.name, this.#nothing()))
    if (this.#wordless > 0) {
      this.#options.onNote(`${this.#source.name}: ${String(this.#wordless)} record(s) without a word of a chat were skipped`)
    }
    return conversations
  }

  #nothing(): string {
    return this.#records.isCsv
      ? `it contains no message: expected a header 'turn,speaker,message' and one message per line`
      : 'it contains no conversation'
  }

  #take(record: SourceRecord): TranscriptConversation[] {
    this.#found++
    return readRecord(record, this.#options).flatMap((piece) => this.#takePiece(piece, record.fallback))
  }

  #takePiece(piece: Piece, fallback: string): TranscriptConversation[] {
    switch (piece.kind) {
      case 'whole':
        return [assemble(piece.conversation ?? fallback, piece)]
      case 'messages': {
        const name = piece.conversation ?? ''
        const group = this.#groups.get(name) ?? []
        group.push(piece)
        this.#groups.set(name, group)
        return []
      }
      case 'request':
        if (piece.history.length === 0 && piece.reply.length === 0) this.#wordless++
        else this.#requests.push({ piece, fallback })
        return []
    }
  }

  #collected(): TranscriptConversation[] {
    return [...this.#groups].flatMap(([name, pieces]) => (name === '' ? this.#unnamed(pieces) : [assemble(name, joined(pieces))]))
  }

  /** Records without a conversation's name: told apart by their ids if those repeat, as ids of messages do not, else one conversation. */
  #unnamed(pieces: readonly MessagesPiece[]): TranscriptConversation[] {
    const byId = grouped(pieces)
    if (!byId.has(null) && [...byId.values()].every(({ length }) => length > 1)) {
      const note = `conversations were separated by the field 'id', whose values repeat (--conversation-field names another)`
      return Array.from(byId, ([id, some]) => assemble(String(id), joined(some, [note])))
    }
    const note =
      `all ${String(pieces.length)} lines without a conversation's name were taken as one conversation; ` +
      `--conversation-field NAME tells them apart (known names: ${CONVERSATION_FIELDS.slice(0, 6).join(', ')})`
    return [assemble(this.#source.base, joined(pieces, [note]))]
  }

  #threads(): TranscriptConversation[] {
    const { items, note } = inTimeOrder(this.#requests, ({ piece }) => piece.time)
    const threads = new RequestThreads()
    const found = new Map<string, { messages: Message[]; notes: string[] }>()
    let repeated = 0
    for (const { piece, fallback } of items) {
      const { conversation, messages, branched } = threads.place(piece, fallback)
      if (messages.length === 0) repeated++
      const entry = found.get(conversation) ?? { messages: [], notes: note === null ? [] : [note.replace('messages', 'requests')] }
      if (branched) entry.notes.push('its history differs from that of its session, so that it is a conversation of its own')
      // Numbers and times of messages inside of requests are those of the requests, which are in order.
      entry.messages.push(...messages.map(({ role, text }) => ({ role, text, turn: null })))
      if (entry.messages.length > 0) found.set(conversation, entry)
    }
    if (repeated > 0) this.#options.onNote(`${this.#source.name}: ${String(repeated)} request(s) that repeat others were skipped`)
    return Array.from(found, ([id, { messages, notes }]) => assemble(id, { messages, notes }))
  }
}

function grouped(pieces: readonly MessagesPiece[]): Map<string | null, MessagesPiece[]> {
  const groups = new Map<string | null, MessagesPiece[]>()
  for (const piece of pieces) {
    const group = groups.get(piece.entryId) ?? []
    group.push(piece)
    groups.set(piece.entryId, group)
  }
  return groups
}

function joined(pieces: readonly MessagesPiece[], notes: readonly string[] = []): Pick<WholePiece, 'messages' | 'notes'> {
  return { messages: pieces.flatMap(({ messages }) => messages), notes }
}

function assemble(id: string, { messages, notes = [] }: Pick<WholePiece, 'messages' | 'notes'>): TranscriptConversation {
  const { items, note } = inOrder(messages)
  const said = items.filter(hasWords)
  const assembler = new ExchangeAssembler()
  const exchanges = said.map((message) => assembler.push(message)).filter((exchange) => exchange !== null)
  const silent = items.filter((message) => message.role === 'assistant' && !hasWords(message)).length
  return {
    id,
    exchanges,
    pending: assembler.pending,
    notes: [
      ...notes,
      ...(note === null ? [] : [note]),
      ...(assembler.repeated > 0 ? [`${String(assembler.repeated)} repeated message(s) were dropped`] : []),
      ...(silent > 0 ? [`${String(silent)} reply(s) without words were skipped`] : []),
    ],
  }
}

/** Whether a message has words, which a conversation's exchanges consist of. */
export function hasWords({ role, text }: Message): boolean {
  return text.trim() !== '' || (role !== 'user' && role !== 'assistant')
}
