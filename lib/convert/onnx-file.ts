// Owns the structure of third-party ONNX files: nodes, and the locations of constant tensors in the file or in external data files.
// Field numbers are those of onnx.proto3. Reads no tensor; knows no architecture.

import { stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { GabionError } from '../errors.js'
import { openForReading } from './float-reading.js'
import { ProtobufReader, type ProtobufField, type ByteRange } from '../files/protobuf-reader.js'
import { ELEMENT_BYTES, type ElementType } from './safetensors-header.js'

/** A node of the graph. */
export interface OnnxNode {
  operator: string
  inputs: string[]
  outputs: string[]
  /** Attributes that are integers; others are left out. */
  integers: ReadonlyMap<string, number>
}

/** A constant tensor of the graph with the location of its bytes. */
export interface OnnxTensor {
  name: string
  type: ElementType
  shape: readonly number[]
  /** Absolute path. */
  file: string
  offset: number
  byteLength: number
}

/** An ONNX file's graph. */
export interface OnnxModel {
  file: string
  nodes: OnnxNode[]
  /** By name; tensors of types other than those of safetensors are left out. */
  tensors: Map<string, OnnxTensor>
  /** Absolute paths of all files that hold tensors, the ONNX file first. */
  files: string[]
}

const MAX_DIMENSIONS = 16

/** ONNX's TensorProto.DataType by number. */
const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  4: 'U16',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  12: 'U32',
  13: 'U64',
  16: 'BF16',
}

/**
 * Reads the structure of an ONNX file.
 *
 * @throws GabionError `MODEL_NOT_FOUND` if it or a file that it refers to is missing; `MODEL_INVALID` if it is broken, a tensor
 * does not fit its byte range, or refers to a file outside the folder
 */
export async function readOnnxFile(file: string): Promise<OnnxModel> {
  await using handle = await openForReading(file)
  const { size } = await handle.stat()
  return await new OnnxParser(new ProtobufReader(file, handle, size)).parse()
}

class OnnxParser {
  readonly #reader: ProtobufReader
  readonly #nodes: OnnxNode[] = []
  readonly #tensors = new Map<string, OnnxTensor>()
  readonly #sizes = new Map<string, number>()

  constructor(reader: ProtobufReader) {
    this.#reader = reader
  }

  async parse(): Promise<OnnxModel> {
    const { file, size } = this.#reader
    let graphs = 0
    for await (const field of this.#reader.fields({ begin: 0, end: size })) {
      if (field.field !== 7) continue
      graphs++
      await this.#graph(field)
    }
    if (graphs !== 1) throw this.#invalid(`it has ${String(graphs)} graphs`)
    return { file, nodes: this.#nodes, tensors: this.#tensors, files: [file, ...this.#sizes.keys()] }
  }

  async #graph(graph: ProtobufField): Promise<void> {
    for await (const field of this.#reader.fields(graph)) {
      if (field.field === 1) this.#nodes.push(await this.#node(field))
      else if (field.field === 5) await this.#initializer(field)
      else if (field.field === 15) throw new GabionError('MODEL_UNSUPPORTED', `${this.#reader.file} has sparse weights, which are not read`)
    }
  }

  async #node(node: ProtobufField): Promise<OnnxNode> {
    const inputs: string[] = []
    const outputs: string[] = []
    const integers = new Map<string, number>()
    let operator = ''
    for await (const field of this.#reader.fields(node)) {
      if (field.field === 1) inputs.push(await this.#reader.text(field))
      else if (field.field === 2) outputs.push(await this.#reader.text(field))
      else if (field.field === 4) operator = await this.#reader.text(field)
      else if (field.field === 5) await this.#attribute(field, outputs, operator, integers)
    }
    return { operator, inputs, outputs, integers }
  }

  async #attribute(attribute: ProtobufField, outputs: readonly string[], operator: string, integers: Map<string, number>): Promise<void> {
    let [name, value]: [string, bigint | null] = ['', null]
    for await (const field of this.#reader.fields(attribute)) {
      if (field.field === 1) name = await this.#reader.text(field)
      else if (field.field === 3 && field.kind === 'varint') value = BigInt.asIntN(64, field.value)
      // A Constant node's tensor is a constant of the graph like any other, under the name of the node's output.
      else if (field.field === 5 && operator === 'Constant') await this.#initializer(field, outputs[0])
    }
    if (value !== null) integers.set(name, Number(value))
  }

  async #initializer(tensor: ProtobufField, nodeOutput?: string): Promise<void> {
    const shape: number[] = []
    let name = ''
    let type = 0
    let inside: ByteRange | null = null
    let isExternal = false
    const external = new Map<string, string>()
    for await (const field of this.#reader.fields(tensor)) {
      if (field.field === 1) shape.push(...(await this.#dimensions(field)))
      else if (field.field === 2 && field.kind === 'varint') type = Number(field.value)
      else if (field.field === 8) name = await this.#reader.text(field)
      else if (field.field === 13) await this.#externalEntry(field, external)
      else if (field.field === 14 && field.kind === 'varint') isExternal = field.value === 1n
      // Raw bytes, or packed floats, which have the same bytes.
      else if ((field.field === 9 || (field.field === 4 && type === 1)) && field.kind === 'bytes')
        inside = { begin: field.begin, end: field.end }
    }
    name = nodeOutput ?? name
    const known = ELEMENT_TYPES[type]
    if (known === undefined || (!isExternal && inside === null)) return
    if (shape.length > MAX_DIMENSIONS) throw this.#invalid(`tensor '${name}' has ${String(shape.length)} dimensions`)
    if (this.#tensors.has(name)) throw this.#invalid(`tensor '${name}' occurs twice`)
    const byteLength = shape.reduce((product, count) => product * count, ELEMENT_BYTES[known])
    const range = isExternal ? await this.#externalRange(name, external, byteLength) : { file: this.#reader.file, ...(inside as ByteRange) }
    if (range.end - range.begin !== byteLength) {
      throw this.#invalid(
        `tensor '${name}' of shape [${shape.join(', ')}] needs ${String(byteLength)} bytes, has ${String(range.end - range.begin)}`,
      )
    }
    this.#tensors.set(name, { name, type: known, shape, file: range.file, offset: range.begin, byteLength })
  }

  async #dimensions(field: ProtobufField): Promise<number[]> {
    const values = field.kind === 'varint' ? [field.value] : await this.#reader.packed(this.#reader.rangeOf(field))
    return values.map((value) => {
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#invalid(`a dimension of ${String(BigInt.asIntN(64, value))}`)
      return Number(value)
    })
  }

  async #externalEntry(entry: ProtobufField, into: Map<string, string>): Promise<void> {
    let [key, value] = ['', '']
    for await (const field of this.#reader.fields(entry)) {
      if (field.field === 1) key = await this.#reader.text(field)
      else if (field.field === 2) value = await this.#reader.text(field)
    }
    into.set(key, value)
  }

  async #externalRange(name: string, entries: ReadonlyMap<string, string>, byteLength: number): Promise<ByteRange & { file: string }> {
    const location = entries.get('location') ?? ''
    const inside = normalize(location)
    if (location === '' || location.includes('\0') || isAbsolute(location) || inside === '..' || inside.startsWith('../')) {
      throw this.#invalid(`tensor '${name}' refers to ${JSON.stringify(location)}, which is outside the file's folder`)
    }
    const file = join(dirname(this.#reader.file), inside)
    const size = this.#sizes.get(file) ?? (await sizeOf(file))
    if (size === null) throw new GabionError('MODEL_NOT_FOUND', `${this.#reader.file} has its weights in ${file}, which does not exist`)
    this.#sizes.set(file, size)
    const [begin, length] = [
      this.#count(name, entries.get('offset') ?? '0'),
      this.#count(name, entries.get('length') ?? String(byteLength)),
    ]
    if (begin + length > size)
      throw this.#invalid(`tensor '${name}' is at ${String(begin)}…${String(begin + length)} of ${file}, which has ${String(size)} bytes`)
    return { file, begin, end: begin + length }
  }

  #count(name: string, text: string): number {
    const count = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(count))
      throw this.#invalid(`tensor '${name}' has the offset or length ${JSON.stringify(text)}`)
    return count
  }

  #invalid(reason: string): GabionError {
    return new GabionError('MODEL_INVALID', `${this.#reader.file} is not a readable ONNX file: ${reason}`)
  }
}

async function sizeOf(file: string): Promise<number | null> {
  return stat(file).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  )
}
