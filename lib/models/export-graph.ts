// Owns what an ONNX export is, by its own content: inputs and outputs, and the precision of its weights. Reads no weight. Field numbers are
// those of onnx.proto3.

import { open } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { ProtobufReader, type ProtobufField } from '../files/protobuf-reader.js'
import type { GraphPrecision } from './graph-manifest.js'

/** The precision of an export's weights. */
export type ExportPrecision = GraphPrecision | 'uint8' | 'q2' | 'q4' | 'q8'

/** An output of a graph. */
export interface ExportOutput {
  name: string
  /** Number of axes; null where the file does not tell. */
  rank: number | null
}

/** What the file of a graph says. */
export interface ExportGraph {
  outputs: ExportOutput[]
  precision: ExportPrecision
}

/** ONNX's TensorProto.DataType: bytes of an element, and what weights of it are called. */
const WEIGHT_TYPES: Readonly<Record<number, { bytes: number; precision: ExportPrecision }>> = {
  1: { bytes: 4, precision: 'fp32' },
  2: { bytes: 1, precision: 'uint8' },
  3: { bytes: 1, precision: 'int8' },
  10: { bytes: 2, precision: 'fp16' },
  16: { bytes: 2, precision: 'bf16' },
}
const BLOCK_WISE = { MatMulNBits: 4, MatMulBnb4: 4 } as const

/**
 * Reads a graph's structure.
 *
 * @throws GabionError `MODEL_INVALID` for a broken file
 */
export async function readExportGraph(file: string): Promise<ExportGraph> {
  await using handle = await open(file, 'r').catch((cause: unknown) => {
    throw new GabionError('MODEL_NOT_FOUND', `cannot open ${file}: ${(cause as Error).message}`, { cause })
  })
  const { size } = await handle.stat()
  const reader = new ProtobufReader(file, handle, size)
  const outputs: ExportOutput[] = []
  const bytes = new Map<ExportPrecision, number>()
  let bits: number | null = null
  for await (const field of reader.fields({ begin: 0, end: size })) {
    if (field.field !== 7) continue
    for await (const part of reader.fields(field)) {
      if (part.field === 1) bits = (await bitsOf(reader, part)) ?? bits
      else if (part.field === 5) await addWeight(reader, part, bytes)
      else if (part.field === 12) outputs.push(await readOutput(reader, part))
    }
  }
  return { outputs, precision: bits === null ? mostOf(bytes) : (`q${String(bits)}` as ExportPrecision) }
}

/** The bits of a weight in a node with block-wise quantized weights; null for other nodes. */
async function bitsOf(reader: ProtobufReader, node: ProtobufField): Promise<number | null> {
  let bits: number | null = null
  for await (const field of reader.fields(node)) {
    if (field.field === 4) {
      const operator = await reader.text(field)
      if (!Object.hasOwn(BLOCK_WISE, operator)) return null
      bits = BLOCK_WISE[operator as keyof typeof BLOCK_WISE]
    } else if (field.field === 5 && bits !== null) {
      let [name, value] = ['', 0]
      for await (const part of reader.fields(field)) {
        if (part.field === 1) name = await reader.text(part)
        else if (part.field === 3 && part.kind === 'varint') value = Number(part.value)
      }
      if (name === 'bits') bits = value
    }
  }
  return bits
}

async function addWeight(reader: ProtobufReader, tensor: ProtobufField, bytes: Map<ExportPrecision, number>): Promise<void> {
  let [elements, type] = [1, 0]
  for await (const field of reader.fields(tensor)) {
    if (field.field === 1) {
      const sizes = field.kind === 'varint' ? [field.value] : await reader.packed(reader.rangeOf(field))
      for (const size of sizes) elements *= Number(size)
    } else if (field.field === 2 && field.kind === 'varint') type = Number(field.value)
  }
  const known = WEIGHT_TYPES[type]
  if (known !== undefined) bytes.set(known.precision, (bytes.get(known.precision) ?? 0) + elements * known.bytes)
}

/** Word tables of quantized graphs may stay in float and be ten times the rest, so whole numbers count from a twentieth. */
function mostOf(bytes: ReadonlyMap<ExportPrecision, number>): ExportPrecision {
  const total = [...bytes.values()].reduce((sum, each) => sum + each, 0)
  const of = (precision: ExportPrecision): number => bytes.get(precision) ?? 0
  if (of('int8') + of('uint8') > total / 20) return of('int8') >= of('uint8') ? 'int8' : 'uint8'
  if (of('fp16') > total / 2) return 'fp16'
  return of('bf16') > total / 2 ? 'bf16' : 'fp32'
}

async function readOutput(reader: ProtobufReader, port: ProtobufField): Promise<ExportOutput> {
  let [name, rank]: [string, number | null] = ['', null]
  for await (const field of reader.fields(port)) {
    if (field.field === 1) name = await reader.text(field)
    else if (field.field === 2) {
      for await (const kind of reader.fields(field)) {
        if (kind.field !== 1) continue
        for await (const part of reader.fields(kind)) {
          if (part.field !== 2) continue
          rank = 0
          for await (const dimension of reader.fields(part)) if (dimension.field === 1) rank++
        }
      }
    }
  }
  return { name, rank }
}

/** Outputs that hold one vector per token, and those that hold the finished vector of a text. */
const TOKEN_OUTPUTS = ['last_hidden_state', 'token_embeddings']
const TEXT_OUTPUTS = ['sentence_embedding', 'sentence_embeddings']

/** Whether an output is a finished vector. */
export function isTextOutput({ name }: ExportOutput): boolean {
  return TEXT_OUTPUTS.includes(name)
}

/**
 * Chooses the output that the model's vectors are made from.
 *
 * @param needsText whether pooling and the layers after it must be in the graph
 * @returns null where no output is known to be one; the only output of a graph is taken if it has a vector per token
 */
export function chooseOutput({ outputs }: ExportGraph, needsText: boolean): ExportOutput | null {
  const named = (names: readonly string[]): ExportOutput | undefined =>
    names.map((name) => outputs.find((output) => output.name === name)).find((output) => output !== undefined)
  if (needsText) return named(TEXT_OUTPUTS) ?? null
  const found = named(TOKEN_OUTPUTS) ?? named(TEXT_OUTPUTS)
  if (found !== undefined) return found
  const [only, ...others] = outputs
  return only !== undefined && others.length === 0 && only.rank === 3 ? only : null
}
