// Owns the input of vectors: a .npy file, or texts to embed; complete or in parts.

import { Option, type Command } from 'commander'
import type { ProjectionModel, VectorRows } from '../projection/projection.js'
import { openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { sourceSize } from '../files/lines.js'
import { npyShape, readNpyRows } from '../files/npy-file.js'
import { Progress } from './progress.js'
import { readTexts, TEXT_FORMATS, type TextFormat } from './text-source.js'
import { embedStream } from './vector-stream.js'

/** Flags of commands that take texts or vectors. */
export interface VectorSourceFlags extends EmbedderFlags {
  input?: string
  format: TextFormat
}

/** Adds `--input` and `--format`. */
export function addVectorSource(command: Command): Command {
  return addTextFormat(command.option('-i, --input <file>', 'texts (- for standard input), or vectors in a .npy file'))
}

/** Adds `--format`. */
export function addTextFormat(command: Command): Command {
  return command.addOption(
    new Option('-f, --format <name>', 'lines of a text file: one text per line, or JSON with the field "text"')
      .choices(TEXT_FORMATS)
      .default('auto'),
  )
}

/** Vectors in parts, and their model if texts were embedded. */
export interface VectorParts {
  parts: AsyncIterable<VectorRows>
  /** Known after the first part. */
  model: () => ProjectionModel | null
}

/** The vectors of a file, in parts. */
export function vectorParts(context: Context, flags: EmbedderFlags & { format: TextFormat }, file: string): VectorParts {
  if (file.endsWith('.npy')) return { parts: npyParts(context, file), model: () => null }
  let model: ProjectionModel | null = null
  const parts = embeddedParts(context, flags, file, (found) => (model = found))
  return { parts, model: () => model }
}

async function* npyParts(context: Context, file: string): AsyncGenerator<VectorRows> {
  const { rows } = await npyShape(file)
  using progress = new Progress(context.output, 'reading', 'vectors', rows)
  let done = 0
  for await (const part of readNpyRows(file)) {
    context.signal.throwIfAborted()
    yield part
    done += part.rows
    progress.update(done, done)
  }
}

async function* embeddedParts(
  context: Context,
  flags: EmbedderFlags & { format: TextFormat },
  file: string,
  onModel: (model: ProjectionModel) => void,
): AsyncGenerator<VectorRows> {
  const total = await sourceSize(file)
  using embedder = await openEmbedder(flags, { cache: false })
  const { model: name, modelHash: hash, precision } = embedder.info
  onModel({ name, hash, precision })
  using progress = new Progress(context.output, 'embedding', 'texts', total)
  const { signal } = context
  const onProgress = progress.update.bind(progress)
  for await (const { batch } of embedStream(embedder, readTexts(file, flags.format, signal), { signal, onProgress })) yield batch
}

/** All vectors of a file in one matrix. */
export async function allVectors(
  context: Context,
  flags: EmbedderFlags & { format: TextFormat },
  file: string,
): Promise<{ vectors: { rows: number; dimensions: number; data: Float32Array }; model: ProjectionModel | null }> {
  const source = vectorParts(context, flags, file)
  const parts: VectorRows[] = []
  let rows = 0
  for await (const part of source.parts) {
    parts.push(part)
    rows += part.rows
  }
  const dimensions = parts[0]?.dimensions ?? 1
  const data = new Float32Array(rows * dimensions)
  let offset = 0
  for (const part of parts) {
    data.set(part.data, offset)
    offset += part.data.length
  }
  return { vectors: { rows, dimensions, data }, model: source.model() }
}
