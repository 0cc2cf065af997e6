// Owns writing of ONNX models of a few kilobytes: nodes, small constants, and references to weights in an external file.
// Field numbers are those of onnx.proto3. Knows no architecture.

import { ProtobufWriter } from './protobuf-writer.js'
import type { ElementType, StoredTensor } from './safetensors-header.js'

/** Numbers of ONNX's TensorProto.DataType. */
export const ONNX_TYPE = { FLOAT: 1, INT8: 3, INT32: 6, INT64: 7, FLOAT16: 10, BFLOAT16: 16 } as const

const IR_VERSION = 8
const OPSET_VERSION = 17
const EXTERNAL = 1
const ATTRIBUTE_FLOAT = 1
const ATTRIBUTE_INT = 2
const ATTRIBUTE_STRING = 3
const ATTRIBUTE_INTS = 7

const STORED_AS: Partial<Record<ElementType, number>> = {
  F32: ONNX_TYPE.FLOAT,
  F16: ONNX_TYPE.FLOAT16,
  BF16: ONNX_TYPE.BFLOAT16,
  I8: ONNX_TYPE.INT8,
}

/** Domain of the operators that ONNX Runtime adds to the standard ones. */
export const CONTRIB_DOMAIN = 'com.microsoft'

/** Domain of the operators of gabion's native code. */
export const GABION_DOMAIN = 'gabion'

/** An attribute's value; a whole number of an attribute that ONNX declares as float is given as `{ float }`. */
export type AttributeValue = number | string | { float: number } | { integers: readonly number[] }

/** A fixed size, or the name of a size that varies between runs. */
export type Dimension = number | string

/** Collects a graph and writes it as an ONNX file: IR 8, opset 17, ONNX Runtime's own operators at version 1. */
export class OnnxGraph {
  readonly #nodes: ((writer: ProtobufWriter) => void)[] = []
  readonly #initializers: ((writer: ProtobufWriter) => void)[] = []
  readonly #ports: { field: number; name: string; type: number; shape: readonly Dimension[] }[] = []
  readonly #weightsFile: string
  readonly #domain: string

  /**
   * @param weightsFile name of the file in the same folder that {@link weight} refers to
   * @param domain      of the non-standard operators
   */
  constructor(weightsFile: string, domain = CONTRIB_DOMAIN) {
    this.#weightsFile = weightsFile
    this.#domain = domain
  }

  input(name: string, type: number, shape: readonly Dimension[]): string {
    this.#ports.push({ field: 11, name, type, shape })
    return name
  }

  output(name: string, type: number, shape: readonly Dimension[]): void {
    this.#ports.push({ field: 12, name, type, shape })
  }

  /** A tensor of the weights file, by reference. */
  weight(tensor: StoredTensor): string {
    const type = STORED_AS[tensor.type]
    if (type === undefined) throw new Error(`no ONNX type for a weight of type ${tensor.type}`)
    const entry = (writer: ProtobufWriter, key: string, value: string | number): void => {
      writer.message(13, (pair) => pair.string(1, key).string(2, String(value)))
    }
    this.#initializers.push((writer) => {
      for (const size of tensor.shape) writer.integer(1, size)
      writer.integer(2, type).string(8, tensor.name)
      entry(writer, 'location', this.#weightsFile)
      entry(writer, 'offset', tensor.offset)
      entry(writer, 'length', tensor.byteLength)
      writer.integer(14, EXTERNAL)
    })
    return tensor.name
  }

  /** A small constant inside the graph; an empty shape makes a scalar. */
  constant(name: string, type: number, shape: readonly number[], bytes: Uint8Array): string {
    this.#initializers.push((writer) => {
      for (const size of shape) writer.integer(1, size)
      writer.integer(2, type).string(8, name).bytes(9, bytes)
    })
    return name
  }

  /** Constants of 64-bit integers; an empty shape makes a scalar. */
  integers(name: string, shape: readonly number[], values: readonly number[]): string {
    return this.constant(name, ONNX_TYPE.INT64, shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer))
  }

  /**
   * Adds a node with one output, which has the node's name.
   *
   * @param inputs names of values; `''` skips an optional input
   */
  node(name: string, operator: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}, domain = ''): string {
    this.nodeOf([name], operator, inputs, attributes, domain)
    return name
  }

  /** Adds a node with several outputs; the first one names it. */
  nodeOf(
    outputs: readonly string[],
    operator: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    domain = '',
  ): void {
    this.#nodes.push((writer) => {
      for (const input of inputs) writer.string(1, input)
      for (const output of outputs) writer.string(2, output)
      writer.string(3, outputs[0] ?? '').string(4, operator)
      for (const [key, value] of Object.entries(attributes)) {
        writer.message(5, (attribute) => {
          attribute.string(1, key)
          if (typeof value === 'number') attribute.integer(3, value).integer(20, ATTRIBUTE_INT)
          else if (typeof value === 'string') attribute.string(4, value).integer(20, ATTRIBUTE_STRING)
          else if ('float' in value) attribute.float(2, value.float).integer(20, ATTRIBUTE_FLOAT)
          else {
            for (const item of value.integers) attribute.integer(8, item)
            attribute.integer(20, ATTRIBUTE_INTS)
          }
        })
      }
      if (domain !== '') writer.string(7, domain)
    })
  }

  /** The whole file. */
  toBytes(name: string, producerVersion: string): Uint8Array {
    return new ProtobufWriter()
      .integer(1, IR_VERSION)
      .string(2, 'gabion')
      .string(3, producerVersion)
      .message(7, (graph) => {
        for (const node of this.#nodes) graph.message(1, node)
        graph.string(2, name)
        for (const initializer of this.#initializers) graph.message(5, initializer)
        for (const port of this.#ports) graph.message(port.field, (writer) => writePort(writer, port))
      })
      .message(8, (opset) => opset.string(1, '').integer(2, OPSET_VERSION))
      .message(8, (opset) => opset.string(1, this.#domain).integer(2, 1))
      .finish()
  }
}

function writePort(writer: ProtobufWriter, port: { name: string; type: number; shape: readonly Dimension[] }): void {
  writer.string(1, port.name).message(2, (type) => {
    type.message(1, (tensor) => {
      tensor.integer(1, port.type).message(2, (shape) => {
        for (const size of port.shape) {
          shape.message(1, (dimension) => (typeof size === 'number' ? dimension.integer(1, size) : dimension.string(2, size)))
        }
      })
    })
  })
}
