// Owns the file of `monitor --follow --state`: a journal of checkpoints, so that a crash at any moment leaves the last whole one.
// A line holds what changed since the one before; the journal is written anew when most of it is old.

import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { writeWhole } from '../files/pending-file.js'
import { writeFailure } from '../files/storage.js'
import type { WatchCheckpoint, WatchedConversation } from '../monitor/watch.js'
import type { SavedAssembler } from '../transcripts/exchanges.js'
import type { FollowCheckpoint } from '../transcripts/follow.js'
import type { SavedThreads } from '../transcripts/request-threads.js'
import type { FilePosition } from './followed-file.js'

const FORMAT = 'gabion-follow'
const VERSION = 1
/** A journal up to this size is never written anew. */
const MIN_COMPACTED_BYTES = 4 << 20

/** Where following continues: all conversations, or in a line of the journal those that changed. */
export interface FollowState {
  readonly position: FilePosition | null
  readonly follow: FollowCheckpoint
  readonly conversations: readonly WatchedConversation[]
}

/** The journal of one run. */
export class FollowJournal {
  readonly #file: string
  readonly #conversations = new Map<string, WatchedConversation>()
  readonly #assemblers = new Map<string, SavedAssembler>()
  #last: FollowState | null = null
  #threads: SavedThreads | null = null
  #handle: FileHandle | null = null
  #bytes = 0
  #compacted = 0

  private constructor(file: string) {
    this.#file = file
  }

  /**
   * Opens a journal, or begins one.
   *
   * @throws GabionError `ARTIFACT_INVALID` for a file that is none
   */
  static async open(file: string): Promise<FollowJournal> {
    const journal = new FollowJournal(file)
    const isFound = await stat(file).then(
      () => true,
      () => false,
    )
    if (isFound) journal.#read(await readFile(file, 'utf8'))
    await journal.#compact()
    return journal
  }

  /** The last state; null for a new journal. */
  get state(): FollowState | null {
    if (this.#last === null) return null
    const follow = { ...this.#last.follow, threads: this.#threads, conversations: Object.fromEntries(this.#assemblers) }
    return { position: this.#last.position, follow, conversations: [...this.#conversations.values()] }
  }

  /** Writes a checkpoint; when it resolves, it is on disk. */
  async append({ follow, conversations }: WatchCheckpoint, position: FilePosition | null): Promise<void> {
    const entry: FollowState = { position, follow, conversations }
    this.#take(entry)
    if (this.#bytes > Math.max(MIN_COMPACTED_BYTES, 2 * this.#compacted)) {
      await this.#compact()
      return
    }
    const line = `${JSON.stringify(entry)}\n`
    try {
      await this.#handle?.appendFile(line)
      await this.#handle?.datasync()
    } catch (cause) {
      throw writeFailure(cause, this.#file)
    }
    this.#bytes += Buffer.byteLength(line)
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = null
  }

  #take(entry: FollowState): void {
    for (const one of entry.conversations) this.#conversations.set(one.saved.id, one)
    for (const [id, assembler] of Object.entries(entry.follow.conversations)) this.#assemblers.set(id, assembler)
    this.#threads = entry.follow.threads ?? this.#threads
    this.#last = entry
  }

  #read(text: string): void {
    // A line without its end was cut off by a crash.
    const [header = '', ...lines] = text.split('\n').slice(0, -1)
    const { format, version } = this.#parsed(header, (value) => value as { format?: unknown; version?: unknown })
    if (format !== FORMAT) throw this.#invalid('it is not a state of "gabion monitor --follow"')
    if (version !== VERSION) throw this.#invalid(`another release wrote it (version ${String(version)}); begin a new one`)
    for (const line of lines) {
      this.#parsed(line, (entry) => {
        this.#take(entry as FollowState)
      })
    }
  }

  #parsed<T>(line: string, use: (value: object) => T): T {
    try {
      return use(JSON.parse(line) as object)
    } catch (cause) {
      throw this.#invalid('it is not a state of "gabion monitor --follow"', cause)
    }
  }

  #invalid(problem: string, cause?: unknown): GabionError {
    return new GabionError('ARTIFACT_INVALID', `${this.#file}: ${problem}`, cause === undefined ? {} : { cause })
  }

  async #compact(): Promise<void> {
    await this.close()
    const header = `${JSON.stringify({ format: FORMAT, version: VERSION })}\n`
    const { state } = this
    const content = state === null ? header : `${header}${JSON.stringify(state)}\n`
    await writeWhole(this.#file, content)
    this.#bytes = Buffer.byteLength(content)
    this.#compacted = this.#bytes
    this.#handle = await open(this.#file, 'a')
  }
}
