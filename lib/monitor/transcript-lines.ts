// Owns a transcript's lines: the non-blank lines of a stream.

import { linesOf } from '../files/lines.js'
import { transcriptInvalid } from './transcript-entry.js'

/** A non-blank line. */
export interface NumberedLine {
  /** Line number in the stream, from 1; blank lines count. */
  readonly line: number
  readonly text: string
}

/**
 * The non-blank lines of a stream.
 *
 * @param name for errors
 * @throws GabionError `TRANSCRIPT_INVALID` if the stream is not UTF-8
 */
export async function* numberedLines(chunks: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<NumberedLine> {
  const notText = (line: number, cause: unknown): Error => transcriptInvalid(`${name}: line ${String(line)}`, 'it is not UTF-8 text', cause)
  for await (const { number, text } of linesOf(chunks, notText)) if (text.trim() !== '') yield { line: number, text }
}
