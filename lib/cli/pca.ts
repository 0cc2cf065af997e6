// Owns `gabion pca`: fit a projection on texts or vectors, apply it, look at it.

import { Command, Option } from 'commander'
import { GabionError } from '../errors.js'
import { Projection, type ProjectionModel, type VectorRows } from '../projection/projection.js'
import {
  addEmbedderOptions,
  finishCommand,
  openEmbedder,
  parseCount,
  type CommonOptions,
  type Context,
  type EmbedderFlags,
} from './command.js'
import { sourceSize } from './lines.js'
import { NpyWriter, readNpy } from './npy.js'
import { Progress } from './progress.js'
import { readTexts, TEXT_FORMATS, type TextFormat } from './text-source.js'
import { embedStream, floatsForJson } from './vector-stream.js'
import { count } from './wording.js'

interface VectorSourceFlags extends EmbedderFlags {
  input?: string
  format: TextFormat
}

interface FitFlags extends VectorSourceFlags {
  components: number
  standardize?: boolean
  out: string
}

interface ApplyFlags extends VectorSourceFlags {
  projection: string
  out?: string
}

/** The command `pca` with its subcommands. */
export function pcaCommand(): Command {
  return new Command('pca')
    .summary('fit, apply and inspect projections to a few components')
    .description('Principal component analysis of embedding vectors: fit a projection, apply it, look at it.')
    .addCommand(fitCommand())
    .addCommand(applyCommand())
    .addCommand(inspectCommand())
}

function addVectorSource(command: Command): Command {
  return command
    .option('-i, --input <file>', 'texts (- for standard input), or vectors in a .npy file')
    .addOption(
      new Option('-f, --format <name>', 'lines of a text file: a text each, or JSON with the field "text"')
        .choices(TEXT_FORMATS)
        .default('auto'),
    )
}

function fitCommand(): Command {
  const command = addVectorSource(new Command('fit'))
    .summary('fit a projection on texts or vectors')
    .description('Fits a PCA on the vectors of texts (--input FILE) or on vectors (--input FILE.npy), and saves it as one JSON file.')
    .requiredOption('-o, --out <file>', 'where to save the projection')
    .option('-k, --components <k>', 'components to keep', parseCount, 2)
    .option('--standardize', 'divide each dimension by its standard deviation first')
  return finishCommand<FitFlags>(
    addEmbedderOptions(command),
    [
      'gabion pca fit --input sentences.txt --components 2 --out safe.pca.json',
      'gabion pca fit --input vectors.npy --components 16 --out small.pca.json',
    ],
    fit,
  )
}

function applyCommand(): Command {
  const command = addVectorSource(new Command('apply').argument('[text...]', 'texts to embed and project'))
    .summary('project texts or vectors')
    .description('Projects texts or vectors and writes one JSON line each: {index, projected}; for texts also "tokens" and "truncated".')
    .requiredOption('-p, --projection <file>', 'a projection saved by "gabion pca fit"')
    .option('-o, --out <file.npy>', 'write a matrix of 32-bit floats instead of JSON lines')
  return finishCommand<ApplyFlags>(
    addEmbedderOptions(command),
    [
      'gabion pca apply --projection safe.pca.json "How do I reset my password?"',
      'gabion pca apply --projection small.pca.json --input vectors.npy --out small.npy',
    ],
    apply,
  )
}

function inspectCommand(): Command {
  const command = new Command('inspect')
    .summary('show what a saved projection is')
    .description('Shows the model, the shape and the explained variance of a saved projection.')
    .argument('<file>', 'a projection saved by "gabion pca fit"')
  return finishCommand<CommonOptions>(command, ['gabion pca inspect safe.pca.json'], inspect)
}

async function fit(context: Context, flags: FitFlags): Promise<undefined> {
  const { output } = context
  if (flags.input === undefined) throw new GabionError('INVALID_ARGUMENT', 'give texts or vectors with --input FILE')
  const { vectors, model } = flags.input.endsWith('.npy')
    ? { vectors: await readNpy(flags.input), model: null }
    : await embedAll(context, flags, flags.input)
  const projection = Projection.fitPca(vectors, {
    components: flags.components,
    ...(model !== null && { model }),
    ...(flags.standardize === true && { standardize: true }),
  })
  await projection.save(flags.out)
  if (output.json) await output.jsonLine({ file: flags.out, ...describe(projection) })
  else {
    await output.line(
      `${flags.out}: ${shape(projection)}, fitted on ${count(vectors.rows, 'vector')}, ${share(sum(projection.explainedVarianceRatio))} of the variance kept`,
    )
  }
  return undefined
}

async function embedAll(context: Context, flags: FitFlags, file: string): Promise<{ vectors: VectorRows; model: ProjectionModel }> {
  const total = await sourceSize(file)
  using embedder = await openEmbedder(flags, { cache: false })
  const progress = new Progress(context.output, 'embedding', 'texts', total)
  const parts: Float32Array[] = []
  let rows = 0
  try {
    const { signal } = context
    const onProgress = progress.update.bind(progress)
    for await (const { batch } of embedStream(embedder, readTexts(file, flags.format, signal), { signal, onProgress })) {
      parts.push(batch.data)
      rows += batch.rows
    }
  } finally {
    progress.stop()
  }
  const data = new Float32Array(rows * embedder.dimensions)
  let at = 0
  for (const part of parts) {
    data.set(part, at)
    at += part.length
  }
  const { model: name, modelHash: hash, precision } = embedder.info
  return { vectors: { rows, dimensions: embedder.dimensions, data }, model: { name, hash, precision } }
}

async function apply(context: Context, flags: ApplyFlags, operands: string[]): Promise<undefined> {
  if (operands.length > 0 === (flags.input !== undefined)) throw new GabionError('INVALID_ARGUMENT', 'give either texts or --input FILE')
  if (flags.out !== undefined && !flags.out.endsWith('.npy'))
    throw new GabionError('INVALID_ARGUMENT', `--out must name a .npy file, got '${flags.out}'`)
  const projection = await Projection.load(flags.projection)
  const writer = flags.out === undefined ? null : await NpyWriter.create(flags.out, projection.components)
  let rows = 0
  try {
    for await (const point of points(context, flags, operands, projection)) {
      if (writer === null) await context.output.jsonLine({ index: rows, ...point, projected: floatsForJson(point.projected) })
      else await writer.append(point.projected)
      rows++
    }
    await writer?.complete()
  } finally {
    await writer?.discard()
  }
  if (flags.out === undefined) return undefined
  if (context.output.json) await context.output.jsonLine({ file: flags.out, rows, components: projection.components })
  else context.output.note(`${flags.out}: ${String(rows)} × ${String(projection.components)}`)
  return undefined
}

interface Point {
  tokens?: number | undefined
  truncated?: boolean
  projected: Float32Array
}

async function* points(context: Context, flags: ApplyFlags, operands: readonly string[], projection: Projection): AsyncGenerator<Point> {
  const { input } = flags
  if (input?.endsWith('.npy') === true) {
    const { rows, dimensions, data } = await readNpy(input)
    for (let row = 0; row < rows; row++) yield { projected: projection.apply(data.subarray(row * dimensions, (row + 1) * dimensions)) }
    return
  }
  const total = input === undefined ? null : await sourceSize(input)
  using embedder = await openEmbedder(flags, { cache: false })
  const source = input === undefined ? operands.map((text) => ({ text, end: 0 })) : readTexts(input, flags.format, context.signal)
  const progress = new Progress(context.output, 'projecting', 'texts', total, flags.out !== undefined || !process.stdout.isTTY)
  const onProgress = progress.update.bind(progress)
  try {
    for await (const { batch } of embedStream(embedder, source, { signal: context.signal, projection, onProgress })) {
      for (let row = 0; row < batch.rows; row++)
        yield { tokens: batch.tokenCounts[row], truncated: batch.truncated(row), projected: batch.point(row) }
    }
  } finally {
    progress.stop()
  }
}

async function inspect({ output }: Context, _flags: CommonOptions, [file = '']: string[]): Promise<undefined> {
  const projection = await Projection.load(file)
  if (output.json) {
    await output.jsonLine({ file, ...describe(projection) })
    return undefined
  }
  const { bold, dim } = output.colors
  const { model, fit: fitted } = projection
  await output.line(bold(file))
  await output.line(`  map         ${shape(projection)}`)
  await output.line(
    `  model       ${model === null ? 'not recorded' : `${model.name} ${model.precision}, weights ${model.hash.slice(0, 12)}…`}`,
  )
  if (fitted !== null)
    await output.line(`  fitted on   ${count(fitted.rows, 'vector')}${fitted.standardized ? ', each dimension standardised' : ''}`)
  await output.line(`  identity    ${projection.id.slice(0, 12)}…`)
  await output.line(`  variance    ${share(sum(projection.explainedVarianceRatio))} kept`)
  let kept = 0
  for (const [index, ratio] of Array.from(projection.explainedVarianceRatio).slice(0, INSPECTED).entries()) {
    kept += ratio
    const bar = '█'.repeat(Math.round((ratio / (projection.explainedVarianceRatio[0] ?? 1)) * 24))
    await output.line(`    ${String(index + 1).padStart(4)}  ${share(ratio).padStart(6)}  ${dim(`Σ ${share(kept).padStart(6)}`)}  ${bar}`)
  }
  if (projection.components > INSPECTED)
    await output.line(dim(`    … ${String(projection.components - INSPECTED)} more (--json shows all)`))
  return undefined
}

/** Components listed one by one. */
const INSPECTED = 16

function describe(projection: Projection): object {
  const { components, dimensions, model, id, fit: fitted } = projection
  return {
    dimensions,
    components,
    model,
    fit: fitted,
    id,
    explainedVariance: Array.from(projection.explainedVariance),
    explainedVarianceRatio: Array.from(projection.explainedVarianceRatio),
  }
}

function shape({ dimensions, components }: Projection): string {
  return `${String(dimensions)} → ${String(components)} components`
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}

function share(ratio: number): string {
  return `${(ratio * 100).toFixed(1)}%`
}
