// Owns reading of protobuf messages from a file field by field, without loading large ones. Knows no message type. The file is
// untrusted, so every length is checked before use.

import type { FileHandle } from 'node:fs/promises'
import { GabionError } from '../errors.js'

const WINDOW_BYTES = 1 << 16
/** Bytes of the longest name in a model. */
const MAX_TEXT_BYTES = 1 << 16
const VARINT = 0
const FIXED_64 = 1
const LENGTH_DELIMITED = 2
const FIXED_32 = 5

/** A byte range of a file, from `begin` up to but not including `end`. */
export interface ByteRange {
  begin: number
  end: number
}

/** A field of a message: its number, and its value or byte range. */
export type ProtobufField = { field: number; kind: 'varint'; value: bigint } | ({ field: number; kind: 'fixed' | 'bytes' } & ByteRange)

/** A file of protobuf messages, read through one buffer. */
export class ProtobufReader {
  readonly file: string
  readonly size: number
  readonly #handle: FileHandle
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0

  /** @param size of the file, in bytes */
  constructor(file: string, handle: FileHandle, size: number) {
    this.file = file
    this.size = size
    this.#handle = handle
  }

  /** The fields of the message in a byte range or in another field. */
  async *fields(message: ByteRange | ProtobufField): AsyncGenerator<ProtobufField> {
    const { begin, end } = this.rangeOf(message)
    let at = begin
    while (at < end) {
      const tag = await this.#varint(at, end)
      at = tag.next
      const [field, wire] = [Number(tag.value >> 3n), Number(tag.value & 7n)]
      if (field < 1 || field > 0x1fffffff) throw this.#broken(at, `field number ${String(field)}`)
      if (wire === VARINT) {
        const { value, next } = await this.#varint(at, end)
        yield { field, kind: 'varint', value }
        at = next
        continue
      }
      let length = wire === FIXED_64 ? 8 : 4
      if (wire === LENGTH_DELIMITED) {
        const { value, next } = await this.#varint(at, end)
        if (value > BigInt(end - next)) throw this.#broken(at, `a field of ${String(value)} bytes where ${String(end - next)} are left`)
        ;[length, at] = [Number(value), next]
      } else if (wire !== FIXED_64 && wire !== FIXED_32) throw this.#broken(at, `wire type ${String(wire)}`)
      if (at + length > end) throw this.#broken(at, `a field of ${String(length)} bytes where ${String(end - at)} are left`)
      yield { field, kind: wire === LENGTH_DELIMITED ? 'bytes' : 'fixed', begin: at, end: at + length }
      at += length
    }
  }

  /** The byte range of a field. */
  rangeOf(field: ByteRange | ProtobufField): ByteRange {
    if (!('kind' in field) || field.kind === 'bytes') return field
    throw new GabionError('MODEL_INVALID', `${this.file} is not a readable ONNX file: field ${String(field.field)} is no message`)
  }

  /** The text of a field of limited length. */
  async text(field: ProtobufField): Promise<string> {
    return (await this.bytes(this.rangeOf(field), MAX_TEXT_BYTES)).toString('utf8')
  }

  /** The bytes of a byte range of limited length. */
  async bytes({ begin, end }: ByteRange, longest: number): Promise<Buffer> {
    if (end - begin > longest)
      throw this.#broken(begin, `a field of ${String(end - begin)} bytes, more than the ${String(longest)} it may have`)
    const bytes = Buffer.alloc(end - begin)
    for (let filled = 0; filled < bytes.length;) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, begin + filled)
      if (bytesRead === 0) throw this.#broken(begin + filled, 'the end of the file')
      filled += bytesRead
    }
    return bytes
  }

  /** The integers of a packed repeated field. */
  async packed(range: ByteRange): Promise<bigint[]> {
    const values: bigint[] = []
    for (let at = range.begin; at < range.end;) {
      const { value, next } = await this.#varint(at, range.end)
      values.push(value)
      at = next
    }
    return values
  }

  async #varint(at: number, end: number): Promise<{ value: bigint; next: number }> {
    let value = 0n
    for (let index = 0; index < 10; index++) {
      if (at + index >= end) throw this.#broken(at, 'a number that does not end')
      const byte = await this.#byte(at + index)
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) return { value: BigInt.asUintN(64, value), next: at + index + 1 }
    }
    throw this.#broken(at, 'a number of more than ten bytes')
  }

  async #byte(at: number): Promise<number> {
    if (at < this.#windowAt || at >= this.#windowAt + this.#window.length) {
      const window = Buffer.alloc(Math.min(WINDOW_BYTES, this.size - at))
      const { bytesRead } = await this.#handle.read(window, 0, window.length, at)
      if (bytesRead === 0) throw this.#broken(at, 'the end of the file')
      ;[this.#window, this.#windowAt] = [window.subarray(0, bytesRead), at]
    }
    return this.#window[at - this.#windowAt] as number
  }

  #broken(at: number, what: string): GabionError {
    return new GabionError('MODEL_INVALID', `${this.file} is not a readable ONNX file: ${what} at byte ${String(at)}`)
  }
}
