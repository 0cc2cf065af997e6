// Owns sequential reading of bytes with bounds checks.

import { damaged } from '../../files/damage.js'

/** A cursor over bytes. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Offset of the next byte. */
  get position(): number {
    return this.#at
  }

  /** Bytes left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** The next `count` bytes: a view, not a copy. */
  take(count: number): Buffer {
    if (!(count <= this.left))
      throw damaged(`cut short: ${String(count)} more bytes expected at byte ${String(this.#at)}, got ${String(this.left)}`)
    const from = this.#at
    this.#at += count
    return this.#bytes.subarray(from, this.#at)
  }

  u8(): number {
    return this.take(1).readUInt8()
  }

  u16(): number {
    return this.take(2).readUInt16LE()
  }

  u32(): number {
    return this.take(4).readUInt32LE()
  }

  i32(): number {
    return this.take(4).readInt32LE()
  }

  /** A length of eight bytes. */
  u64(): number {
    return Number(this.take(8).readBigUInt64LE())
  }

  f64BigEndian(): number {
    return this.take(8).readDoubleBE()
  }

  /** The bytes up to the next line feed, which is consumed. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw damaged(`cut short: a line at byte ${String(this.#at)} has no end`)
    const text = this.#bytes.toString('latin1', this.#at, end)
    this.#at = end + 1
    return text
  }
}
