// Owns the input of vectors: a .npy file, or texts to embed; complete, in parts, or as an endless stream in bounded memory.

import { Option, type Command } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import type { Projection, ProjectionModel, VectorRows } from '../projection/projection.js'
import { openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { sourceName, sourceSize } from '../files/lines.js'
import { GabionError, wrongType } from '../errors.js'
import { npyShape, readNpyRows } from '../files/npy-file.js'
import { Progress } from './progress.js'
import { inBatches, readTexts, TEXT_FORMATS, type SourceText, type TextFormat } from './text-source.js'

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
  for await (const { batch } of embedStream(embedder, readTextsNotNumbers(file, flags.format, signal), { signal, onProgress })) yield batch
}

/** Numbers that look like a vector, whatever they are. Of fractions two are enough. */
const LIKE_A_VECTOR = 8

/**
 * The texts of a file where it could have vectors too: rows of numbers are refused, since a table that is embedded as text gives vectors
 * that mean nothing. `--format text` embeds them all the same.
 *
 * @throws GabionError as {@link readTexts}, and `INVALID_ARGUMENT` for rows of numbers and NumPy's archives
 */
export async function* readTextsNotNumbers(file: string, format: TextFormat, signal?: AbortSignal): AsyncGenerator<SourceText> {
  if (file.endsWith('.npz'))
    throw wrongType(`${file}: of NumPy's files .npy is read: with np.load(FILE) as arrays: np.save('vectors.npy', arrays[arrays.files[0]])`)
  let line = 0
  for await (const text of readTexts(file, format, signal)) {
    // The first line may be a header.
    if (format === 'auto' && ++line <= 2 && isRowOfNumbers(text.text))
      throw new GabionError(
        'INVALID_ARGUMENT',
        `${sourceName(file)}: line ${String(line)} is a row of numbers, not a text. Vectors are read from a .npy file: ` +
          "np.save('vectors.npy', np.loadtxt(FILE, delimiter=',')); with --format text every line is embedded as a text",
      )
    yield text
  }
}

/** As CSV, with or without quotes, or as a JSON array, also behind a name; a missing number is empty or NaN. */
function isRowOfNumbers(line: string): boolean {
  const cells = line
    .replace(/["'[\]]/g, ' ')
    .trim()
    .split(/\s*[,;\t]\s*| +/)
  const isNumber = (cell: string): boolean => /^[-+]?(nan|inf(inity)?)?$/i.test(cell) || Number.isFinite(Number(cell))
  const words = cells.findLastIndex((cell) => !isNumber(cell)) + 1
  const numbers = cells.slice(words).filter((cell) => /\d/.test(cell))
  const fractions = numbers.filter((cell) => /\d\.|\.\d|\de/i.test(cell)).length
  return words === 0 ? numbers.length >= LIKE_A_VECTOR || fractions >= 2 : fractions >= LIKE_A_VECTOR
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

/** Texts per batch: enough to keep all threads busy, few enough for memory and an early first result. */
const BATCH_ROWS = 256
const BATCH_CHARACTERS = 1 << 20

/** A batch of vectors with its position in the stream. */
export interface VectorChunk {
  batch: EmbeddingBatch
  /** Index of the batch's first text in the stream. */
  first: number
}

/** Options of {@link embedStream}. */
export interface EmbedStreamOptions {
  signal: AbortSignal
  projection?: Projection | undefined
  /** One of the model's prompts; its own default where undefined. */
  prompt?: string | undefined
  /** Called with the source bytes and the number of the texts done so far. */
  onProgress?: (bytes: number, texts: number) => void
}

/** Embeds a stream of texts; while one batch is consumed the next one is already being computed. */
export async function* embedStream(
  embedder: Embedder,
  source: AsyncIterable<SourceText> | Iterable<SourceText>,
  options: EmbedStreamOptions,
): AsyncGenerator<VectorChunk> {
  const tally = { texts: 0, bytes: 0 }
  let ahead: Promise<VectorChunk> | null = null
  let first = 0
  let from = 0
  for await (const items of inBatches(source, BATCH_ROWS, BATCH_CHARACTERS)) {
    const bytes = (items.at(-1)?.end ?? 0) - from
    const report = (texts: number): void => {
      tally.texts += texts
      tally.bytes += (bytes * texts) / items.length
      options.onProgress?.(tally.bytes, tally.texts)
    }
    const next = embedChunk(embedder, items, first, options, report)
    // A rejection is handled where the promise is awaited below; until then it must not count as unhandled.
    next.catch(() => undefined)
    first += items.length
    from += bytes
    if (ahead !== null) yield await ahead
    ahead = next
  }
  if (ahead !== null) yield await ahead
}

async function embedChunk(
  embedder: Embedder,
  items: readonly SourceText[],
  first: number,
  { signal, projection, prompt }: EmbedStreamOptions,
  report: (texts: number) => void,
): Promise<VectorChunk> {
  let reported = 0
  const onProgress = ({ done }: { done: number }): void => {
    report(done - reported)
    reported = done
  }
  const texts = items.map((item) => item.text)
  const optional = { ...(projection !== undefined && { projection }), ...(prompt !== undefined && { prompt }) }
  const batch = await embedder.embedBatch(texts, { signal, onProgress, ...optional })
  return { batch, first }
}

/** Nine significant digits round-trip every 32-bit float and take half the space of seventeen. */
export function floatsForJson(values: Float32Array): number[] {
  return Array.from(values, (value) => Number(value.toPrecision(9)))
}
