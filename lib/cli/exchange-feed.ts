// Owns the input of `gabion monitor`: transcripts in sequence, or lines of a growing file.
// Knows no embedder and no detector.

import { open, stat } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { followTranscript, type FollowedEvent } from '../monitor/follow.js'
import { readTranscript, type TranscriptConversation } from '../monitor/transcript.js'
import { sourceName } from '../files/lines.js'

/**
 * The conversations of files, in sequence. Repeated names get a number.
 *
 * @param onRead called with each conversation when it is read, which may be long before its exchanges are judged
 */
export async function* readConversations(
  files: readonly string[],
  onRead: (conversation: TranscriptConversation, source: string) => void,
): AsyncGenerator<TranscriptConversation> {
  const seen = new Map<string, number>()
  for (const file of files) {
    for await (const conversation of readTranscript(file)) {
      const times = (seen.get(conversation.id) ?? 0) + 1
      seen.set(conversation.id, times)
      const named = times === 1 ? conversation : { ...conversation, id: `${conversation.id}#${times}` }
      onRead(named, sourceName(file))
      yield named
    }
  }
}

/** The exchanges of a growing file or of standard input, as they arrive; ends at the signal or the end of standard input. */
export async function* followFile(file: string, signal: AbortSignal): AsyncGenerator<FollowedEvent> {
  try {
    yield* followTranscript(file === '-' ? arriving(signal) : growing(file, signal), sourceName(file))
  } catch (error) {
    // An interruption may truncate the last line.
    if (!signal.aborted) throw error
  }
}

async function* arriving(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const close = (): void => {
    process.stdin.destroy()
  }
  signal.addEventListener('abort', close, { once: true })
  if (signal.aborted) close()
  try {
    for await (const chunk of process.stdin) yield chunk as Uint8Array
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', close)
  }
}

/** Interval between checks of a file for growth. */
const POLL_MS = 200
const CHUNK_BYTES = 1 << 16

/** A file's bytes from its start, and those appended later. A replaced or truncated file is read from the start. */
async function* growing(file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    await using handle = await open(file, 'r')
    const { ino, isFile } = await handle.stat().then((found) => ({ ino: found.ino, isFile: found.isFile() }))
    if (!isFile) throw new GabionError('INVALID_ARGUMENT', `${file}: only a regular file or standard input can be followed`)
    const buffer = new Uint8Array(CHUNK_BYTES)
    let offset = 0
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, offset)
      if (bytesRead > 0) {
        offset += bytesRead
        yield buffer.slice(0, bytesRead)
        continue
      }
      if (await firesWithin(signal, POLL_MS)) return
      const now = await stat(file).catch(() => null)
      if (now !== null && (now.ino !== ino || now.size < offset)) break
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
