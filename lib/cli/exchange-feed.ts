// Owns the input of `gabion monitor`: transcripts in sequence, or lines of a growing file.
// Knows no embedder and no detector.

import { access, constants } from 'node:fs/promises'
import { sourceName } from '../files/lines.js'
import {
  followTranscript,
  followWithCheckpoints,
  type CheckpointEvent,
  type FollowedEvent,
  type FollowOptions,
} from '../transcripts/follow.js'
import { transcriptInvalid } from '../transcripts/problem.js'
import { readTranscript, STANDARD_INPUT, type TranscriptConversation, type TranscriptOptions } from '../transcripts/transcript.js'
import { FollowedFile } from './followed-file.js'

/**
 * Refuses files that cannot be read, before anything is loaded for them.
 *
 * @throws GabionError `TRANSCRIPT_INVALID`
 */
export async function checkReadable(files: readonly string[]): Promise<void> {
  for (const file of files.filter((name) => name !== STANDARD_INPUT)) {
    await access(file, constants.R_OK).catch((cause: unknown) => {
      throw transcriptInvalid(file, `cannot be read: ${(cause as Error).message}`, cause)
    })
  }
}

/**
 * The conversations of files, in sequence. Repeated names get a number.
 *
 * @param onRead called with each conversation when it is read, which may be long before its exchanges are judged
 */
export async function* readConversations(
  files: readonly string[],
  onRead: (conversation: TranscriptConversation, source: string) => void,
  options: TranscriptOptions = {},
): AsyncGenerator<TranscriptConversation> {
  const seen = new Map<string, number>()
  for (const file of files) {
    for await (const conversation of readTranscript(file, options)) {
      const times = (seen.get(conversation.id) ?? 0) + 1
      seen.set(conversation.id, times)
      const named = times === 1 ? conversation : { ...conversation, id: `${conversation.id}#${times}` }
      onRead(named, sourceName(file))
      yield named
    }
  }
}

/** The exchanges of a growing file or of standard input, as they arrive; ends at the signal or the end of standard input. */
export function followFile(file: string, signal: AbortSignal, options: FollowOptions = {}): AsyncGenerator<FollowedEvent> {
  const chunks = file === STANDARD_INPUT ? arriving(signal) : new FollowedFile(file).chunks(signal)
  return followTranscript(chunks, sourceName(file), { ...options, signal })
}

/** The exchanges as {@link followFile} gives them, with checkpoints. */
export function followInput(
  input: FollowedFile | null,
  name: string,
  signal: AbortSignal,
  options: FollowOptions,
): AsyncGenerator<FollowedEvent | CheckpointEvent> {
  return followWithCheckpoints(input === null ? arriving(signal) : input.chunks(signal), name, { ...options, signal })
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
