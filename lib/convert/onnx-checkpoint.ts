// Owns the weights of an ONNX export under the names and shapes of its checkpoint. PyTorch's exporters preserve the names of most
// parameters; the matrices of linear layers often lose theirs and are transposed. They are found by the bias that is added to their
// product, whose name is preserved.

import { open, type FileHandle } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import type { WeightSource } from './weight-source.js'
import { checkTensorShape, readFloats } from './float-reading.js'
import { readOnnxFile, type OnnxModel, type OnnxNode, type OnnxTensor } from './onnx-file.js'
import type { StoredTensor } from './safetensors-header.js'
import { transposeInto } from './weight-layout.js'

/** A parameter of every supported encoder; its name has an arbitrary prefix. */
const ANCHOR = 'embeddings.word_embeddings.weight'

/** Maximum number of nodes between a constant and its use; ends cycles. */
const MAX_STEPS = 4

/** A parameter of the checkpoint, as stored in the export. */
interface Parameter {
  tensor: OnnxTensor
  /** Stored as [in, out] where the checkpoint has [out, in]. */
  transposed: boolean
}

/** An open export. */
export class OnnxCheckpoint implements WeightSource {
  readonly file: string
  readonly files: readonly string[]
  readonly #parameters: ReadonlyMap<string, Parameter>
  readonly #handles = new Map<string, FileHandle>()

  private constructor(model: OnnxModel) {
    this.file = model.file
    this.files = model.files
    this.#parameters = findParameters(model)
  }

  /**
   * Opens an export and looks for the encoder's parameters in it.
   *
   * @throws GabionError as {@link readOnnxFile}; `MODEL_UNSUPPORTED` for an export that has no parameters of an encoder
   */
  static async open(file: string): Promise<OnnxCheckpoint> {
    return new OnnxCheckpoint(await readOnnxFile(file))
  }

  has(name: string): boolean {
    return this.#parameters.has(name)
  }

  require(name: string, shape: readonly number[]): StoredTensor {
    const found = this.#parameters.get(name)
    if (found === undefined) {
      throw new GabionError(
        'MODEL_UNSUPPORTED',
        `${this.file} has no tensor '${name}'; exports in float32 or float16 that no optimizer has fused or quantized can be converted`,
      )
    }
    const { type, shape: stored, offset, byteLength } = found.tensor
    const actual = found.transposed ? [...stored].reverse() : stored
    checkTensorShape(this.file, name, actual, shape)
    return { name, type, shape, offset, byteLength }
  }

  async read({ name, shape }: StoredTensor, rows?: { first: number; count: number }): Promise<Float32Array> {
    const { tensor, transposed } = this.#parameters.get(name) as Parameter
    const handle = await this.#open(tensor.file)
    const { offset, byteLength } = tensor
    if (transposed) {
      const [height, width] = shape as [number, number]
      const stored = await readFloats(tensor.file, handle, { ...tensor, name }, { offset, byteLength })
      const whole = new Float32Array(stored.length)
      transposeInto(whole, width, 0, stored, width, height)
      return rows === undefined ? whole : whole.subarray(rows.first * width, (rows.first + rows.count) * width)
    }
    const rowBytes = byteLength / (shape[0] ?? 1)
    const part = rows === undefined ? { offset, byteLength } : { offset: offset + rows.first * rowBytes, byteLength: rows.count * rowBytes }
    return readFloats(tensor.file, handle, { ...tensor, name }, part)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()))
    this.#handles.clear()
  }

  async #open(file: string): Promise<FileHandle> {
    const handle = this.#handles.get(file) ?? (await open(file, 'r'))
    this.#handles.set(file, handle)
    return handle
  }
}

/** The parameters by their names in the checkpoint, without the exporter's prefixes. */
function findParameters({ file, nodes, tensors }: OnnxModel): Map<string, Parameter> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output): [string, OnnxNode] => [output, node])))
  const constants = (name: string, steps = 0): Parameter | null => {
    if (steps > MAX_STEPS) return null
    const tensor = tensors.get(name)
    if (tensor !== undefined) return { tensor, transposed: false }
    const maker = makers.get(name)
    // Exporters store equal parameters once, under one of their names, and may widen types.
    if (maker === undefined || !['Identity', 'Cast', 'Transpose'].includes(maker.operator)) return null
    const below = constants(maker.inputs[0] ?? '', steps + 1)
    if (below === null || maker.operator !== 'Transpose') return below
    return below.tensor.shape.length === 2 ? { ...below, transposed: !below.transposed } : null
  }

  const anchor = [...tensors.keys(), ...makers.keys()].find((name) => name === ANCHOR || name.endsWith(`.${ANCHOR}`))
  if (anchor === undefined) {
    throw new GabionError('MODEL_UNSUPPORTED', `${file} has no tensor '${ANCHOR}': it is no export of an encoder that can be converted`)
  }
  const prefix = anchor.slice(0, -ANCHOR.length)
  const parameters = new Map<string, Parameter>()
  for (const name of [...tensors.keys(), ...makers.keys()]) {
    const found = name.startsWith(prefix) ? constants(name) : null
    if (found !== null) parameters.set(name.slice(prefix.length), found)
  }
  for (const node of nodes) {
    for (const [at, input] of node.inputs.entries()) {
      if (!input.startsWith(prefix) || !input.endsWith('.bias')) continue
      const name = `${input.slice(prefix.length, -'bias'.length)}weight`
      const matrix = parameters.has(name) ? null : matrixBefore(node, at, makers, constants)
      if (matrix !== null) parameters.set(name, matrix)
    }
  }
  return parameters
}

/** The matrix of the product that a bias is added to, in the checkpoint's order of axes; null where there is no such product. */
function matrixBefore(
  node: OnnxNode,
  biasAt: number,
  makers: ReadonlyMap<string, OnnxNode>,
  constants: (name: string) => Parameter | null,
): Parameter | null {
  if (node.operator === 'Gemm' && biasAt === 2) {
    const matrix = constants(node.inputs[1] ?? '')
    return matrix === null || node.integers.get('transB') === 1 ? matrix : { ...matrix, transposed: !matrix.transposed }
  }
  if (node.operator !== 'Add') return null
  const product = makers.get(node.inputs[1 - biasAt] ?? '')
  if (product?.operator !== 'MatMul') return null
  const matrix = constants(product.inputs[1] ?? '')
  return matrix?.tensor.shape.length === 2 ? { ...matrix, transposed: !matrix.transposed } : null
}
