// Splits the bytes of a server-sent event stream at event boundaries: after an empty line, with any of the three line endings.
// Knows bytes and lines, not the events' meaning.

const LF = 0x0a
const CR = 0x0d

/** Splits a stream, passed in chunks, into its events; these and the rest concatenated are the stream, byte for byte. */
export class EventSplitter {
  #partial: Buffer[] = []
  /** The current line is empty so far. */
  #lineIsEmpty = true
  /** The last byte was a CR; its LF may follow. */
  #afterCr = false
  /** That CR ended an empty line: the event ends after it, or after its LF. */
  #endsHere = false

  /** Returns the events that a chunk completes, each with its empty line. */
  push(chunk: Buffer): Buffer[] {
    const events: Buffer[] = []
    let start = 0
    const cut = (end: number): void => {
      events.push(Buffer.concat([...this.#partial, chunk.subarray(start, end)]))
      this.#partial = []
      start = end
      this.#endsHere = false
    }
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index]
      const afterCr = this.#afterCr
      this.#afterCr = byte === CR
      if (byte === LF && afterCr) {
        // The second half of a CR LF; its line ended with the CR.
        if (this.#endsHere) cut(index + 1)
        continue
      }
      if (this.#endsHere) cut(index)
      if (byte !== LF && byte !== CR) this.#lineIsEmpty = false
      else if (!this.#lineIsEmpty) this.#lineIsEmpty = true
      else if (byte === LF || afterCr) {
        // Two CRs in sequence: lines end in CR alone, so there is no LF to wait for.
        cut(index + 1)
        this.#afterCr = false
      } else this.#endsHere = true
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start))
    return events
  }

  /** Returns the rest at the end of the stream, and whether it is a complete event. */
  finish(): { rest: Buffer; whole: boolean } {
    const rest = Buffer.concat(this.#partial)
    const whole = this.#endsHere
    this.#partial = []
    this.#endsHere = false
    return { rest, whole }
  }
}

/** The lines of an event, without its empty ones. */
export function linesOf(event: Uint8Array): string[] {
  return new TextDecoder()
    .decode(event)
    .split(/\r\n|\n|\r/)
    .filter((line) => line !== '')
}

/** Whether an event ends a stream of OpenAI's API. */
export function isEnd(lines: readonly string[]): boolean {
  return lines.some((line) => line === 'data: [DONE]' || line === 'data:[DONE]')
}

/** The data of an event: its data lines, joined by newlines. Null for an event without any, such as a comment. */
export function dataOf(lines: readonly string[]): string | null {
  const data = lines.filter((line) => /^data(:|$)/.test(line)).map((line) => line.slice(5).replace(/^ /, ''))
  return data.length === 0 ? null : data.join('\n')
}
