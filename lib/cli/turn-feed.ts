// Owns where the turns of `gabion monitor` come from: transcripts read to their end, or lines that are still being written.
// Knows no embedder and no detector.

import { open, stat } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { followTranscript } from '../monitor/follow.js'
import type { TranscriptExchange } from '../monitor/exchanges.js'
import { readTranscript } from '../monitor/transcript.js'
import { sourceName } from './lines.js'

/** What comes next. A conversation that is read to its end begins and ends; one that is followed only begins. */
export type FeedEvent =
  | { kind: 'begin'; conversation: string; source: string; exchanges: number | null; notes: readonly string[] }
  | { kind: 'exchange'; conversation: string; exchange: TranscriptExchange }
  | { kind: 'end'; conversation: string; pending: number }

/** The conversations of files, one after another. Names that occur again get a number. */
export async function* readFeed(files: readonly string[]): AsyncGenerator<FeedEvent> {
  const seen = new Map<string, number>()
  for (const file of files) {
    for await (const { id, exchanges, pending, notes } of readTranscript(file)) {
      const times = (seen.get(id) ?? 0) + 1
      seen.set(id, times)
      const conversation = times === 1 ? id : `${id}#${times}`
      yield { kind: 'begin', conversation, source: sourceName(file), exchanges: exchanges.length, notes }
      for (const exchange of exchanges) yield { kind: 'exchange', conversation, exchange }
      yield { kind: 'end', conversation, pending: pending.length }
    }
  }
}

/** The turns of a growing file or of standard input, as they arrive; ends when the signal fires or standard input ends. */
export async function* followFeed(file: string, signal: AbortSignal): AsyncGenerator<FeedEvent> {
  const begun = new Set<string>()
  const source = sourceName(file)
  const pending = new Map<string, number>()
  try {
    for await (const event of followTranscript(file === '-' ? arriving(signal) : growing(file, signal), source)) {
      const { conversation } = event
      if (!begun.has(conversation)) {
        begun.add(conversation)
        yield { kind: 'begin', conversation, source, exchanges: null, notes: [] }
      }
      if (event.kind === 'exchange') yield event
      else pending.set(conversation, event.pending.length)
    }
  } catch (error) {
    // An interruption may cut the last line in two.
    if (!signal.aborted) throw error
  }
  for (const conversation of begun) yield { kind: 'end', conversation, pending: pending.get(conversation) ?? 0 }
}

async function* arriving(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const leave = (): void => {
    process.stdin.destroy()
  }
  signal.addEventListener('abort', leave, { once: true })
  try {
    for await (const chunk of process.stdin) yield chunk as Uint8Array
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

/** How long after its last growth a file is looked at again. */
const POLL_MS = 200
const CHUNK_BYTES = 1 << 16

/** A file's bytes from its start, and what is appended later. A file that is replaced or cut short is read anew. */
async function* growing(file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    const handle = await open(file, 'r')
    try {
      const { ino, isFile } = await handle.stat().then((found) => ({ ino: found.ino, isFile: found.isFile() }))
      if (!isFile) throw new GabionError('INVALID_ARGUMENT', `${file}: only a regular file or standard input can be followed`)
      const buffer = new Uint8Array(CHUNK_BYTES)
      let at = 0
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, at)
        if (bytesRead > 0) {
          at += bytesRead
          yield buffer.slice(0, bytesRead)
          continue
        }
        if (await firesWithin(signal, POLL_MS)) return
        const now = await stat(file).catch(() => null)
        if (now !== null && (now.ino !== ino || now.size < at)) break
      }
    } finally {
      await handle.close()
    }
  }
}

/** Waits; resolves early, with true, when the signal fires. */
function firesWithin(signal: AbortSignal, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(signal.aborted)
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
  })
}
