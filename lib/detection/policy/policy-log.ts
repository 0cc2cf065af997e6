// Owns reading and embedding of a log of conversations, with the policies that they are labeled to break.

import { readFile } from 'node:fs/promises'
import { nodeZlib } from '../../lazy.js'
import { GabionError } from '../../errors.js'
import type { RefusalReader } from '../erosion/lexicon.js'
import { readCorpus } from '../fitting/corpus.js'
import type { VectorStore } from '../fitting/vector-store.js'
import type { ExampleVectors, PolicyVectors } from './policy-head.js'

/** One exchange of a log. */
export interface LogExchange extends PolicyVectors {
  readonly reply: ArrayLike<number>
}

/** A conversation of a log. */
export interface LogConversation {
  readonly id: string
  /** Exchanges with a reply. */
  readonly exchanges: readonly LogExchange[]
  /** Names of the policies that it breaks; null without a label. */
  readonly breaks: readonly string[] | null
}

/** Options of reading a log. */
export interface LogReading {
  readonly store: VectorStore
  readonly refusals: RefusalReader
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: { done: number; total: number }) => void
}

/**
 * Reads JSON lines of conversations in the format of `gabion detector`; a field `breaks` may list the names of broken policies.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` naming file, line and field
 */
export async function readLog(file: string, reading: LogReading): Promise<LogConversation[]> {
  const corpus = await readCorpus(file, 'log', { label: 'safe' })
  const known = await readBreaks(file)
  const { store, signal, onProgress } = reading
  await store.add(
    corpus.conversations.flatMap(({ exchanges }) => exchanges.flatMap(({ user, reply }) => [user, reply])),
    { ...(signal !== undefined && { signal }), ...(onProgress !== undefined && { onProgress }) },
  )
  return corpus.conversations.map(({ id, exchanges, label }, index) => ({
    id,
    exchanges: exchanges.filter(({ reply }) => store.windows(reply).length > 0).map(({ user, reply }) => embedded(user, reply, reading)),
    // The label `unsafe` alone does not name the broken policies.
    breaks: known[index] ?? (label === 'unsafe' ? null : []),
  }))
}

/** Vectors of an exchange whose texts are in the store. */
export function embedded(user: string, reply: string, { store, refusals }: LogReading): LogExchange & ExampleVectors {
  return {
    user: store.windows(user).length === 0 ? null : store.vector(user),
    reply: store.vector(reply),
    windows: store.windows(reply),
    flags: refusals.read(reply),
  }
}

async function readBreaks(file: string): Promise<(readonly string[] | null)[]> {
  const bytes = await readFile(file)
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? nodeZlib().gunzipSync(bytes) : bytes).toString('utf8')
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    const { breaks } = JSON.parse(line) as { breaks?: unknown }
    if (breaks === undefined) return [null]
    if (!Array.isArray(breaks) || !breaks.every((name) => typeof name === 'string')) {
      throw new GabionError('TRANSCRIPT_INVALID', `${file}, line ${String(index + 1)}: field 'breaks' must be a list of names of policies`)
    }
    return [breaks]
  })
}
