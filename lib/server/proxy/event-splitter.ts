// Cuts the bytes of a stream of server-sent events at event boundaries: behind an empty line, whichever of the three line endings the
// stream has. Knows bytes and lines, not what an event means.

const LF = 0x0a
const CR = 0x0d

/** Takes a stream in chunks and gives its whole events; all pieces together and the rest are the stream, byte for byte. */
export class EventSplitter {
  #partial: Buffer[] = []
  /** Nothing stands on the current line yet. */
  #lineIsEmpty = true
  /** The last byte was a CR, whose LF may follow. */
  #afterCr = false
  /** That CR ended an empty line: the event ends behind it, or behind its LF. */
  #endsHere = false

  /** The events that a chunk completes, each with its empty line. */
  push(chunk: Buffer): Buffer[] {
    const events: Buffer[] = []
    let start = 0
    const cut = (end: number): void => {
      events.push(Buffer.concat([...this.#partial, chunk.subarray(start, end)]))
      this.#partial = []
      start = end
      this.#endsHere = false
    }
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      const afterCr = this.#afterCr
      this.#afterCr = byte === CR
      if (byte === LF && afterCr) {
        // The second half of a CR LF: its line ended with the CR.
        if (this.#endsHere) cut(at + 1)
        continue
      }
      if (this.#endsHere) cut(at)
      if (byte !== LF && byte !== CR) this.#lineIsEmpty = false
      else if (!this.#lineIsEmpty) this.#lineIsEmpty = true
      else if (byte === LF || afterCr) {
        // Two CRs one after the other: this stream's lines end in CR alone, and there is no LF to wait for.
        cut(at + 1)
        this.#afterCr = false
      } else this.#endsHere = true
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start))
    return events
  }

  /** Takes what is left at the end of the stream, and whether it is a whole event. */
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

/** Whether a line of an event is the end of a stream of OpenAI's form. */
export function isEnd(lines: readonly string[]): boolean {
  return lines.some((line) => line === 'data: [DONE]' || line === 'data:[DONE]')
}

/** The data of an event: its data lines, joined as the standard says. Null for an event without any, such as a comment. */
export function dataOf(lines: readonly string[]): string | null {
  const data = lines.filter((line) => /^data(:|$)/.test(line)).map((line) => line.slice(5).replace(/^ /, ''))
  return data.length === 0 ? null : data.join('\n')
}
