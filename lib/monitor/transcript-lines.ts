// Owns what a transcript's lines are: those of a stream that have words in them.

import { linesOf } from '../files/lines.js'
import { transcriptInvalid } from './transcript-entry.js'

/** A line that has words in it. */
export interface NumberedLine {
  /** Counts every line of the stream from 1. */
  readonly line: number
  readonly text: string
}

/**
 * The non-blank lines of a stream.
 *
 * @param name stands in errors
 * @throws GabionError `TRANSCRIPT_INVALID` if the stream is not UTF-8
 */
export async function* numberedLines(chunks: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<NumberedLine> {
  const notText = (line: number, cause: unknown): Error => transcriptInvalid(`${name}: line ${String(line)}`, 'it is not UTF-8 text', cause)
  for await (const { number, text } of linesOf(chunks, notText)) if (text.trim() !== '') yield { line: number, text }
}
