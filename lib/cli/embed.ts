// Owns `gabion embed`: texts in, vectors out as JSON lines or .npy.

import { Command } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { Projection } from '../projection/projection.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { sourceSize } from '../files/lines.js'
import { NpyWriter } from '../files/npy-file.js'
import { Progress } from './progress.js'
import { readTexts, type TextFormat } from './text-source.js'
import { addTextFormat, embedStream, floatsForJson, type VectorChunk } from './vector-file.js'
import { count } from './wording.js'

interface EmbedFlags extends EmbedderFlags {
  input?: string
  format: TextFormat
  out?: string
  project?: string
  prompt?: string
}

/** The command `embed`. */
export function embedCommand(): Command {
  const command = new Command('embed')
    .summary('texts to vectors, as JSON lines or .npy')
    .description(
      'Embeds texts and writes one JSON line per text: {index, tokens, truncated, embedding, projected}. "tokens" counts before truncation; "projected" is null without --project.',
    )
    .argument('[text...]', 'texts to embed')
    .option('-i, --input <file>', 'read the texts from a file, - for standard input')
    .option('-o, --out <file.npy>', 'write a matrix of 32-bit floats instead of JSON lines')
    .option('--prompt <name>', "put one of the model's prompts before every text, '' for none (default: what its folder says)")
    .option('--project <file>', 'add vectors projected by a projection of "gabion pca fit" (with --out: in FILE.projected.npy)')
  return finishCommand<EmbedFlags>(
    addEmbedderOptions(addTextFormat(command)),
    [
      'gabion embed "How do I reset my password?"',
      'gabion embed --input questions.txt --out questions.npy',
      'gabion embed --model ./my-model --prompt query --dimensions 256 "How do I reset my password?"',
      'cat texts.jsonl | gabion embed --input - | jq -c "[.index, .tokens]"',
    ],
    run,
  )
}

async function run(context: Context, flags: EmbedFlags, operands: string[]): Promise<undefined> {
  const { output, signal } = context
  if (operands.length > 0 === (flags.input !== undefined)) throw new GabionError('INVALID_ARGUMENT', 'pass either texts or --input FILE')
  if (flags.out !== undefined && !flags.out.endsWith('.npy'))
    throw new GabionError('INVALID_ARGUMENT', `--out must name a .npy file, got '${flags.out}'`)
  const total = flags.input === undefined ? null : await sourceSize(flags.input)
  const projection = flags.project === undefined ? undefined : await Projection.load(flags.project)
  using embedder = await openEmbedder(flags, { cache: false })
  const texts = flags.input === undefined ? operands.map((text) => ({ text, end: 0 })) : readTexts(flags.input, flags.format, signal)
  const sink = flags.out === undefined ? new JsonLines(context) : await NpyFiles.create(flags.out, embedder, projection)
  const progress = new Progress(output, 'embedding', 'texts', total, flags.out !== undefined || !process.stdout.isTTY)
  const onProgress = progress.update.bind(progress)
  const startedAt = performance.now()
  let rows = 0
  let cut = 0
  try {
    for await (const chunk of embedStream(embedder, texts, { signal, projection, prompt: flags.prompt, onProgress })) {
      await sink.append(chunk)
      for (let row = 0; row < chunk.batch.rows; row++) if (chunk.batch.truncated(row)) cut++
      rows += chunk.batch.rows
    }
    await sink.complete()
  } finally {
    progress.stop()
    await sink.discard()
  }
  if (cut > 0)
    output.note(
      `${count(cut, 'text')} longer than ${String(embedder.info.maxSequenceLength)} tokens: truncated ("truncated" in the output)`,
    )
  if (flags.out !== undefined)
    await reportWritten(context, flags.out, embedder, { rows, cut, seconds: (performance.now() - startedAt) / 1000 })
}

async function reportWritten(
  { output }: Context,
  file: string,
  embedder: Embedder,
  done: { rows: number; cut: number; seconds: number },
): Promise<void> {
  const { model, precision, provider } = embedder.info
  if (output.json)
    await output.jsonLine({ file, rows: done.rows, dimensions: embedder.dimensions, truncated: done.cut, model, precision, provider })
  else {
    output.note(
      `${file}: ${done.rows.toLocaleString('en')} × ${String(embedder.dimensions)}, ${model} ${precision}, ${(done.rows / done.seconds).toFixed(0)} texts/s`,
    )
  }
}

interface Sink {
  append(chunk: VectorChunk): Promise<void>
  complete(): Promise<void>
  discard(): Promise<void>
}

class JsonLines implements Sink {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async append({ batch, first }: VectorChunk): Promise<void> {
    const { output, signal } = this.#context
    for (let row = 0; row < batch.rows; row++) {
      // A batch is more than a reader takes in the time that it has after a signal.
      signal.throwIfAborted()
      await output.jsonLine({
        index: first + row,
        tokens: batch.totalTokenCounts[row],
        truncated: batch.truncated(row),
        embedding: floatsForJson(batch.row(row)),
        projected: batch.projected === null ? null : floatsForJson(batch.projectedRow(row)),
      })
    }
  }

  complete(): Promise<void> {
    return Promise.resolve()
  }

  discard(): Promise<void> {
    return Promise.resolve()
  }
}

/** One matrix of vectors and, with a projection, one of projected vectors next to it. */
class NpyFiles implements Sink {
  readonly #vectors: NpyWriter
  readonly #points: NpyWriter | null

  private constructor(vectors: NpyWriter, points: NpyWriter | null) {
    this.#vectors = vectors
    this.#points = points
  }

  static async create(file: string, embedder: Embedder, projection: Projection | undefined): Promise<NpyFiles> {
    const vectors = await NpyWriter.create(file, embedder.dimensions)
    const points = projection === undefined ? null : await NpyWriter.create(file.replace(/\.npy$/, '.projected.npy'), projection.components)
    return new NpyFiles(vectors, points)
  }

  async append({ batch }: VectorChunk): Promise<void> {
    await this.#vectors.append(batch.data)
    if (batch.projected !== null) await this.#points?.append(batch.projected)
  }

  async complete(): Promise<void> {
    await this.#vectors.complete()
    await this.#points?.complete()
  }

  async discard(): Promise<void> {
    await this.#vectors.discard()
    await this.#points?.discard()
  }
}
