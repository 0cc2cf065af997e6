// Owns conversations that arrive as lines: yields each exchange as soon as a line completes it. Knows no embedder and no detector.

import { basename, extname } from 'node:path'
import type { GabionError } from '../errors.js'
import type { Line } from '../files/lines.js'
import type { SourceRecord } from './document.js'
import { decodedLines } from './encoding.js'
import { ExchangeAssembler, type Message, type SavedAssembler, type TranscriptExchange } from './exchanges.js'
import type { Piece } from './forms/form.js'
import { readOptions, type ReadOptions, type TranscriptOptions } from './options.js'
import { withPauses } from './pauses.js'
import { transcriptInvalid } from './problem.js'
import { readRecord } from './read-record.js'
import { isJson, isKnownHeader, RecordSource } from './record-source.js'
import { readHeader } from './csv-rows.js'
import { RequestThreads, type SavedThreads } from './request-threads.js'
import { hasWords } from './transcript.js'

/** Event of a followed stream: a completed exchange, or the user messages without a reply at the end. */
export type FollowedEvent =
  | { readonly kind: 'exchange'; readonly conversation: string; readonly exchange: TranscriptExchange }
  | { readonly kind: 'pending'; readonly conversation: string; readonly pending: readonly string[] }

/** Where following can continue, after the events before it. */
export interface CheckpointEvent {
  readonly kind: 'checkpoint'
  readonly checkpoint: FollowCheckpoint
}

/** The state of following after a line; plain JSON. */
export interface FollowCheckpoint {
  /** Bytes of the stream up to the end of the last complete record. */
  readonly end: number
  /** Lines up to there. */
  readonly line: number
  /** The line with the columns of CSV. */
  readonly header: string | null
  /** Null without requests since the last checkpoint. */
  readonly threads: SavedThreads | null
  /** Conversations that changed since the last checkpoint. */
  readonly conversations: Readonly<Record<string, SavedAssembler>>
}

/** Options of {@link followTranscript}. */
export interface FollowOptions extends TranscriptOptions {
  /** Where to continue: the stream begins at this checkpoint's `end`, and `conversations` are all that there are. */
  from?: FollowCheckpoint
  /** Ends following; a line that comes with it may be cut off and is not read. */
  signal?: AbortSignal
}

/** Conversation of lines that name none. */
const UNNAMED = 'stream'

const PAUSE_MS = 50
const CHECKPOINT_MS = 1000

/**
 * Follows a stream of lines: JSON of any form that has a record per line, or CSV with a header. Messages are taken in the order of
 * arrival. At the end, conversations with unanswered user messages are reported.
 *
 * @param name for errors
 * @throws GabionError `TRANSCRIPT_INVALID` with line and field, unless the options have `onProblem`
 */
export async function* followTranscript(
  chunks: AsyncIterable<Uint8Array | string>,
  name: string,
  { from, signal, ...options }: FollowOptions = {},
): AsyncGenerator<FollowedEvent> {
  const read = readOptions(options)
  const live = new LiveTranscript(name, read, from)
  for await (const line of decodedLines(chunks, name, read.onNote)) {
    if (signal?.aborted === true) break
    yield* live.push(line)
  }
  yield* live.end(signal?.aborted === true)
}

/**
 * Follows as {@link followTranscript} does, with a checkpoint when no line comes for a moment, every second, and at the end.
 *
 * @throws GabionError as {@link followTranscript}
 */
export async function* followWithCheckpoints(
  chunks: AsyncIterable<Uint8Array | string>,
  name: string,
  { from, signal, ...options }: FollowOptions = {},
): AsyncGenerator<FollowedEvent | CheckpointEvent> {
  const read = readOptions(options)
  const live = new LiveTranscript(name, read, from)
  const lines = decodedLines(chunks, name, read.onNote)
  let last = performance.now()
  for await (const line of withPauses(lines, PAUSE_MS)) {
    if (signal?.aborted === true) break
    if (line !== null) yield* live.push(line)
    if (line === null || performance.now() - last >= CHECKPOINT_MS) {
      const checkpoint = live.checkpoint()
      if (checkpoint !== null) yield { kind: 'checkpoint', checkpoint }
      last = performance.now()
    }
  }
  yield* live.end(signal?.aborted === true)
  const checkpoint = live.checkpoint()
  if (checkpoint !== null) yield { kind: 'checkpoint', checkpoint }
}

/** The conversations of one stream. */
class LiveTranscript {
  readonly #name: string
  readonly #options: ReadOptions
  readonly #threads: RequestThreads
  readonly #assemblers: Map<string, ExchangeAssembler>
  readonly #changed = new Set<string>()
  #hasRequests = false
  readonly #start: { readonly end: number; readonly line: number }
  #source: RecordSource | null = null
  #position: { readonly end: number; readonly line: number }
  #saved: number
  #saidUnnamed: boolean

  constructor(name: string, options: ReadOptions, from: FollowCheckpoint | undefined) {
    this.#name = name
    this.#options = options
    this.#threads = new RequestThreads(from?.threads ?? undefined)
    this.#assemblers = new Map(Object.entries(from?.conversations ?? {}).map(([id, saved]) => [id, new ExchangeAssembler(saved)]))
    this.#start = { end: from?.end ?? 0, line: from?.line ?? 0 }
    this.#position = this.#start
    this.#saved = from?.end ?? -1
    this.#saidUnnamed = this.#assemblers.has(UNNAMED)
    if (from?.header !== undefined && from.header !== null) {
      this.#source = this.#sourceOf(from.header)
      this.#source?.push({ text: from.header, number: 1 })
    }
  }

  *push({ text, number, end }: Line): Generator<FollowedEvent> {
    const line = { text, number: this.#start.line + number }
    if (text.trim() !== '') {
      this.#source ??= this.#sourceOf(text)
      if (this.#source === null) this.#options.onProblem(this.#unknownLine(line.number))
      for (const record of this.#source?.push(line) ?? []) yield* this.#take(record)
    }
    if (this.#source?.isBetween !== false) this.#position = { end: this.#start.end + end, line: line.number }
  }

  /** @param isCut the input goes on elsewhere, so that an open record is not an error */
  *end(isCut: boolean): Generator<FollowedEvent> {
    for (const record of isCut ? [] : (this.#source?.end() ?? [])) yield* this.#take(record)
    for (const [conversation, { pending }] of this.#assemblers) {
      if (pending.length > 0) yield { kind: 'pending', conversation, pending }
    }
  }

  /** The state since the last checkpoint; null without a change. */
  checkpoint(): FollowCheckpoint | null {
    if (this.#position.end === this.#saved) return null
    this.#saved = this.#position.end
    const conversations = Object.fromEntries(
      Array.from(this.#changed, (id) => [id, (this.#assemblers.get(id) as ExchangeAssembler).toJSON()]),
    )
    const threads = this.#hasRequests ? this.#threads.toJSON() : null
    this.#changed.clear()
    this.#hasRequests = false
    return { ...this.#position, header: this.#source?.header ?? null, threads, conversations }
  }

  /** The reader that the first line calls for; null for a line that is neither JSON nor a header with known columns. */
  #sourceOf(line: string): RecordSource | null {
    const { container } = this.#options
    const base = basename(this.#name, extname(this.#name))
    const isCsv = container === 'csv' || (container === null && !isJson(line))
    if (isCsv && container === null && !isHeader(line, this.#options)) return null
    return new RecordSource({ name: this.#name, base }, { ...this.#options, container: isCsv ? 'csv' : 'jsonl' })
  }

  #unknownLine(line: number): GabionError {
    return transcriptInvalid(`${this.#name}: line ${String(line)}`, 'it is neither JSON nor a header of CSV with known columns')
  }

  *#take(record: SourceRecord): Generator<FollowedEvent> {
    for (const piece of readRecord(record, this.#options)) {
      const { conversation, messages } = this.#placed(piece, record.fallback)
      const assembler = this.#assemblers.get(conversation) ?? new ExchangeAssembler()
      this.#assemblers.set(conversation, assembler)
      this.#changed.add(conversation)
      for (const message of messages) {
        const exchange = hasWords(message) ? assembler.push(message) : null
        if (exchange !== null) yield { kind: 'exchange', conversation, exchange }
      }
    }
  }

  #placed(piece: Piece, fallback: string): { conversation: string; messages: readonly Message[] } {
    if (piece.kind === 'request') {
      this.#hasRequests = true
      const { conversation, messages } = this.#threads.place(piece, fallback)
      return { conversation, messages: messages.map(({ role, text }) => ({ role, text, turn: null })) }
    }
    if (piece.conversation === null && !this.#saidUnnamed) {
      this.#saidUnnamed = true
      this.#options.onNote(
        `${this.#name}: lines without a conversation's name are taken as one, '${UNNAMED}' (--conversation-field NAME tells them apart)`,
      )
    }
    return { conversation: piece.conversation ?? UNNAMED, messages: piece.messages }
  }
}

function isHeader(line: string, options: ReadOptions): boolean {
  const isKnown = (columns: readonly string[]): boolean => isKnownHeader(columns, options)
  return isKnown(readHeader(line, isKnown).columns)
}
