// Owns writing of the four protobuf wire types that ONNX uses. Knows no message type.

const utf8 = new TextEncoder()

const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED_32 = 5

/** Builds one protobuf message in memory; nested messages are built by a callback. */
export class ProtobufWriter {
  readonly #bytes: number[] = []

  /** An integer or enumeration field; negative numbers take ten bytes, as the format requires. */
  integer(field: number, value: number): this {
    this.#tag(field, VARINT)
    this.#varint(BigInt.asUintN(64, BigInt(value)))
    return this
  }

  /** A 32-bit float field. */
  float(field: number, value: number): this {
    this.#tag(field, FIXED_32)
    this.#bytes.push(...new Uint8Array(new Float32Array([value]).buffer))
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, LENGTH_DELIMITED)
    this.#varint(BigInt(value.length))
    for (const byte of value) this.#bytes.push(byte)
    return this
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value))
  }

  message(field: number, build: (writer: ProtobufWriter) => void): this {
    const nested = new ProtobufWriter()
    build(nested)
    return this.bytes(field, nested.finish())
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }

  #tag(field: number, wireType: number): void {
    this.#varint(BigInt((field << 3) | wireType))
  }

  #varint(value: bigint): void {
    let rest = value
    while (rest > 0x7fn) {
      this.#bytes.push(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.#bytes.push(Number(rest))
  }
}
