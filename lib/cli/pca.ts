// Owns `gabion pca`: fits, applies, inspects and imports projections.

import { Command } from 'commander'
import { GabionError } from '../errors.js'
import { importProjection } from '../projection/import.js'
import { PcaAccumulator, Projection, type FitPcaOptions } from '../projection/projection.js'
import { addEmbedderOptions, finishCommand, openEmbedder, parseCount, type CommonOptions, type Context } from './command.js'
import { sourceSize } from '../files/lines.js'
import { NpyWriter, npyShape, readNpyRows } from '../files/npy-file.js'
import { Progress } from './progress.js'
import { describeProjection, keptVariance, projectionShape, saveProjection, share } from './projection-file.js'
import {
  addVectorSource,
  allVectors,
  embedStream,
  floatsForJson,
  readTextsNotNumbers,
  vectorParts,
  type VectorSourceFlags,
} from './vector-file.js'
import { count } from './wording.js'

/** Larger matrices are streamed; only their sums are in memory. */
const MAX_IN_MEMORY_BYTES = 256 * 1024 * 1024

interface FitFlags extends VectorSourceFlags {
  components: number
  standardize?: boolean
  whiten?: boolean
  out: string
}

interface ImportFlags extends CommonOptions {
  scaler?: string
  model?: string
  out: string
}

interface ApplyFlags extends VectorSourceFlags {
  projection: string
  out?: string
}

/** The command `pca` with its subcommands. */
export function pcaCommand(): Command {
  return new Command('pca')
    .summary('fit, apply, inspect and import projections to a few components')
    .description('Principal component analysis of embedding vectors: fit, apply and inspect a projection, or import one from scikit-learn.')
    .addCommand(fitCommand())
    .addCommand(applyCommand())
    .addCommand(inspectCommand())
    .addCommand(importCommand())
}

function fitCommand(): Command {
  const command = addVectorSource(new Command('fit'))
    .summary('fit a projection on texts or vectors')
    .description(
      'Fits a PCA on the vectors of texts (--input FILE) or on vectors (--input FILE.npy), and saves it as one JSON file, or for NumPy as .npz. ' +
        'Large .npy files are streamed: only sums are in memory.',
    )
    .requiredOption('-o, --out <file>', 'output file of the projection: .json, or .npz for NumPy')
    .option('-k, --components <k>', 'components to keep', parseCount, 2)
    .option('--standardize', 'divide each dimension by its standard deviation first')
    .option('--whiten', 'divide each component by its standard deviation')
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
    .requiredOption('-p, --projection <file>', 'a projection of "gabion pca fit"')
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
    .summary('show a saved projection')
    .description('Shows the model, the shape and the explained variance of a saved projection.')
    .argument('<file>', 'a projection of "gabion pca fit"')
  return finishCommand<CommonOptions>(command, ['gabion pca inspect safe.pca.json'], inspect)
}

function importCommand(): Command {
  const command = new Command('import')
    .summary("import scikit-learn's PCA, StandardScaler or Pipeline")
    .description(
      "Reads a scikit-learn PCA, StandardScaler or Pipeline of them from pickle, joblib, skops or .npz, or a projection of gabion's own, and saves it. " +
        'Files are read as data and never executed: a pickle with any other type is refused.',
    )
    .argument('<file>', 'a file saved by scikit-learn, joblib, skops, NumPy or gabion')
    .requiredOption('-o, --out <file>', 'output file of the projection: .json, or .npz for NumPy')
    .option('--scaler <file>', 'a separately saved StandardScaler to apply before the PCA')
    .option('-m, --model <name|folder>', 'the model of its input vectors: stored, so that mismatches are refused (default: not recorded)')
  return finishCommand<ImportFlags>(
    command,
    [
      'gabion pca import pca.joblib --out plane.pca.json',
      'gabion pca import pca.pkl --scaler scaler.pkl --model all-MiniLM-L6-v2 --out plane.pca.json',
      'gabion pca import plane.pca.json --out plane.npz',
    ],
    importFile,
  )
}

async function importFile(context: Context, flags: ImportFlags, [file = '']: string[]): Promise<undefined> {
  const { output } = context
  const scaler = flags.scaler === undefined ? {} : { scaler: flags.scaler }
  let projection = await importProjection(file, scaler)
  if (flags.model !== undefined) {
    using embedder = await openEmbedder({ model: flags.model })
    const { model: name, modelHash: hash, precision } = embedder.info
    projection = await importProjection(file, { ...scaler, model: { name, hash, precision } })
    // An empty batch computes nothing, but checks that the projection fits the model.
    await embedder.embedBatch([], { projection })
  }
  await saveProjection(projection, flags.out)
  if (output.json) await output.jsonLine({ file: flags.out, source: file, ...describeProjection(projection) })
  else await output.line(`${flags.out}: ${projectionShape(projection)}${keptVariance(projection)}, from ${file}`)
}

async function fit(context: Context, flags: FitFlags): Promise<undefined> {
  const { output } = context
  if (flags.input === undefined) throw new GabionError('INVALID_ARGUMENT', 'pass texts or vectors with --input FILE')
  const options = {
    components: flags.components,
    ...(flags.standardize === true && { standardize: true }),
    ...(flags.whiten === true && { whiten: true }),
  }
  const { projection, rows } = await fitOn(context, flags, flags.input, options)
  await saveProjection(projection, flags.out)
  if (output.json) await output.jsonLine({ file: flags.out, ...describeProjection(projection) })
  else await output.line(`${flags.out}: ${projectionShape(projection)}, fitted on ${count(rows, 'vector')}${keptVariance(projection)}`)
}

async function fitOn(
  context: Context,
  flags: FitFlags,
  file: string,
  options: FitPcaOptions,
): Promise<{ projection: Projection; rows: number }> {
  if (file.endsWith('.npy')) {
    const { rows, dimensions } = await npyShape(file)
    if (rows * dimensions * 4 > MAX_IN_MEMORY_BYTES) {
      const sums = new PcaAccumulator()
      for await (const part of vectorParts(context, flags, file).parts) sums.add(part)
      return { projection: sums.fit(options), rows }
    }
  }
  const { vectors, model } = await allVectors(context, flags, file)
  return { projection: Projection.fitPca(vectors, { ...options, ...(model !== null && { model }) }), rows: vectors.rows }
}

async function apply(context: Context, flags: ApplyFlags, operands: string[]): Promise<undefined> {
  if (operands.length > 0 === (flags.input !== undefined)) throw new GabionError('INVALID_ARGUMENT', 'pass either texts or --input FILE')
  if (flags.out !== undefined && !flags.out.endsWith('.npy'))
    throw new GabionError('INVALID_ARGUMENT', `--out must name a .npy file, got '${flags.out}'`)
  const projection = await Projection.load(flags.projection)
  const writer = flags.out === undefined ? null : await NpyWriter.create(flags.out, projection.components)
  let rows = 0
  try {
    for await (const point of points(context, flags, operands, projection)) {
      context.signal.throwIfAborted()
      if (writer === null) await context.output.jsonLine({ index: rows, ...point, projected: floatsForJson(point.projected) })
      else await writer.append(point.projected)
      rows++
    }
    await writer?.complete()
  } finally {
    await writer?.discard()
  }
  if (flags.out === undefined) return
  if (context.output.json) await context.output.jsonLine({ file: flags.out, rows, components: projection.components })
  else context.output.note(`${flags.out}: ${String(rows)} × ${String(projection.components)}`)
}

interface Point {
  tokens?: number | undefined
  truncated?: boolean
  projected: Float32Array
}

async function* points(context: Context, flags: ApplyFlags, operands: readonly string[], projection: Projection): AsyncGenerator<Point> {
  const { input } = flags
  if (input?.endsWith('.npy') === true) {
    for await (const { rows, dimensions, data } of readNpyRows(input)) {
      for (let row = 0; row < rows; row++) yield { projected: projection.apply(data.subarray(row * dimensions, (row + 1) * dimensions)) }
    }
    return
  }
  const total = input === undefined ? null : await sourceSize(input)
  using embedder = await openEmbedder(flags, { cache: false })
  const source = input === undefined ? operands.map((text) => ({ text, end: 0 })) : readTextsNotNumbers(input, flags.format, context.signal)
  using progress = new Progress(context.output, 'projecting', 'texts', total, flags.out !== undefined || !process.stdout.isTTY)
  const onProgress = progress.update.bind(progress)
  for await (const { batch } of embedStream(embedder, source, { signal: context.signal, projection, onProgress })) {
    for (let row = 0; row < batch.rows; row++)
      yield { tokens: batch.totalTokenCounts[row], truncated: batch.truncated(row), projected: batch.projectedRow(row) }
  }
}

async function inspect({ output }: Context, _flags: CommonOptions, [file = '']: string[]): Promise<undefined> {
  const projection = await Projection.load(file)
  if (output.json) {
    await output.jsonLine({ file, ...describeProjection(projection) })
    return
  }
  const { bold, dim } = output.colors
  const { model, fit: fitted } = projection
  await output.line(bold(file))
  await output.line(`  map         ${projectionShape(projection)}`)
  await output.line(
    `  model       ${model === null ? 'not recorded' : `${model.name} ${model.precision}, weights ${model.hash.slice(0, 12)}…`}`,
  )
  if (fitted !== null) {
    const before = fitted.standardized ? ', each dimension standardized' : ''
    await output.line(`  fitted on   ${count(fitted.rows, 'vector')}${before}${fitted.whitened === true ? ', whitened' : ''}`)
  }
  await output.line(`  identity    ${projection.id.slice(0, 12)}…`)
  await output.line(`  variance    ${keptVariance(projection).slice(2) || 'not recorded'}`)
  let cumulative = 0
  for (const [index, ratio] of Array.from(projection.explainedVarianceRatio).slice(0, MAX_LISTED).entries()) {
    cumulative += ratio
    const bar = '█'.repeat(Math.round((ratio / (projection.explainedVarianceRatio[0] ?? 1)) * 24))
    await output.line(
      `    ${String(index + 1).padStart(4)}  ${share(ratio).padStart(6)}  ${dim(`Σ ${share(cumulative).padStart(6)}`)}  ${bar}`,
    )
  }
  if (projection.explainedVarianceRatio.length > MAX_LISTED)
    await output.line(dim(`    … ${String(projection.components - MAX_LISTED)} more (--json shows all)`))
}

/** Components in the list. */
const MAX_LISTED = 16
