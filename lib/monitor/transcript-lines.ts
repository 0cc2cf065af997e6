// Owns the cutting of a byte stream into numbered lines of UTF-8 text, each as soon as it is whole.

import { transcriptInvalid } from './transcript-entry.js'

/** A line that has words in it. */
export interface NumberedLine {
  /** Counts every line of the stream from 1. */
  readonly line: number
  readonly text: string
}

/**
 * The non-blank lines of a stream. Memory holds one line at a time.
 *
 * @param name stands in errors
 * @throws GabionError `TRANSCRIPT_INVALID` if the stream is not UTF-8
 */
export async function* numberedLines(chunks: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<NumberedLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  let open: string[] = []
  const decode = (chunk: Uint8Array | string | undefined): string => {
    try {
      return typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (cause) {
      throw transcriptInvalid(`${name}: line ${String(line)}`, 'it is not UTF-8 text', cause)
    }
  }
  for await (const chunk of chunks) {
    const pieces = decode(chunk).split('\n')
    for (const [index, piece] of pieces.entries()) {
      open.push(piece)
      if (index === pieces.length - 1) break
      const text = withoutReturn(open.join(''))
      open = []
      if (text.trim() !== '') yield { line, text }
      line++
    }
  }
  const text = withoutReturn(open.join('') + decode(undefined))
  if (text.trim() !== '') yield { line, text }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
