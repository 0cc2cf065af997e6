// Owns `gabion model list`: known and locally stored models, with their uses and requirements.

import { cpus, totalmem } from 'node:os'
import { Command } from 'commander'
import {
  bundledFolder,
  findLocalModel,
  KNOWN_MODELS,
  parseHubModel,
  readGraphManifest,
  readModelFolder,
  type KnownModel,
  type ModelDescription,
} from '../models/index.js'
import { finishCommand, openEmbedder, type CommonOptions, type Context } from './command.js'

interface ListFlags extends CommonOptions {
  speed?: boolean
}

/** The subcommand `list`. */
export function listCommand(): Command {
  const command = new Command('list')
    .summary('known and locally stored models')
    .description(
      'Lists the models that gabion knows by name, with their uses and requirements, and all other models stored here. ' +
        'Any repository of the hub or folder in the sentence-transformers layout works as well.',
    )
    .option('--no-speed', 'omit the estimated time of a sentence on this machine (which needs a short run of the bundled model)')
  return finishCommand<ListFlags>(command, ['gabion model list', 'gabion model list --json'], list)
}

/** Local state of a model. */
interface LocalState {
  state: 'bundled' | 'ready' | 'pulled' | 'not here'
  folder: string | null
  precisions: string[]
  /** Size of the graphs with their weights. */
  bytes: number
}

interface Row extends LocalState {
  known: KnownModel
  /** Memory of the weights in the default precision. */
  memoryMegabytes: number
  /** Time of a sentence of 25 tokens on one thread; null if not requested, or if the engine cannot run. */
  estimatedMs: number | null
  fits: boolean
}

async function graphsOf(model: ModelDescription): Promise<{ precisions: string[]; bytes: number }> {
  const graphs = (await readGraphManifest(model.folder))?.graphs ?? []
  return { precisions: graphs.map(({ precision }) => precision), bytes: graphs.reduce((sum, graph) => sum + graph.weights.bytes, 0) }
}

async function localStateOf(known: KnownModel, stored: readonly ModelDescription[]): Promise<LocalState> {
  if (known.bundled) {
    const folder = bundledFolder(known)
    return { state: 'bundled', folder, ...(await graphsOf(await readModelFolder(folder))) }
  }
  const ready = stored.filter(({ name }) => name === known.name)
  if (ready[0] !== undefined) {
    const graphs = await Promise.all(ready.map(graphsOf))
    return {
      state: 'ready',
      folder: ready[0].folder,
      precisions: graphs.flatMap(({ precisions }) => precisions),
      bytes: graphs.reduce((sum, { bytes }) => sum + bytes, 0),
    }
  }
  const hubModel = parseHubModel(known.identifier)
  const pulled = hubModel === null ? null : await findLocalModel(hubModel)
  return { state: pulled === null ? 'not here' : 'pulled', folder: pulled?.folder ?? null, precisions: [], bytes: 0 }
}

const SAMPLE = 'The assistant answered the question about the invoice, named the rule that it followed, and would not change the total.'
const RUNS = 5

/** Milliseconds of one sentence in the bundled model, the minimum of a few runs. */
async function timeBundled(): Promise<number> {
  using embedder = await openEmbedder({ threads: 1 }, { cache: false })
  let best = Infinity
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    await embedder.embed(SAMPLE)
    best = Math.min(best, performance.now() - start)
  }
  return best
}

/** Multiplications per token, without attention scores, which are negligible for sentences. */
function workOf({ layers, dimensions }: KnownModel): number {
  return layers * 12 * dimensions ** 2
}

async function list({ output }: Context, flags: ListFlags): Promise<undefined> {
  const { listKeptModels } = await import('../convert/kept-models.js')
  const stored = await listKeptModels()
  // The list is useful even if the engine cannot run.
  const bundledMs = flags.speed === false ? null : await timeBundled().catch(() => null)
  const reference = KNOWN_MODELS.find((model) => model.bundled)
  const [memory, cores] = [totalmem() / 1e9, cpus().length]
  for (const known of KNOWN_MODELS) {
    const row: Row = {
      known,
      ...(await localStateOf(known, stored)),
      memoryMegabytes: Math.round(known.parametersInMillions * 2),
      estimatedMs: bundledMs === null || reference === undefined ? null : (bundledMs * workOf(known)) / workOf(reference),
      fits: memory >= known.hardware.memoryGigabytes && cores >= known.hardware.cores,
    }
    if (output.json) {
      const { known: model, ...rest } = row
      await output.jsonLine({ ...model, ...rest })
    } else await printRow(output, row)
  }
  for (const model of stored.filter(({ name }) => KNOWN_MODELS.every((known) => known.name !== name))) {
    const { precisions, bytes } = await graphsOf(model)
    const { name, folder, dimensions, maxSequenceLength, license, revision } = model
    if (output.json)
      await output.jsonLine({ name, state: 'ready', folder, precisions, bytes, dimensions, maxSequenceLength, license, revision })
    else {
      await output.line(`${output.colors.bold(name.padEnd(38))} ready: ${precisions.join(', ')}, ${megabytes(bytes)}`)
      await output.line(output.colors.dim(`  ${String(dimensions)} dimensions, ${String(maxSequenceLength)} tokens, ${license}, ${folder}`))
    }
  }
  if (!output.json) output.note('"gabion model pull NAME" downloads a model; so does its first use.')
}

async function printRow(output: Context['output'], row: Row): Promise<void> {
  const { bold, dim, yellow } = output.colors
  const { known, state, precisions, bytes } = row
  const { name, architecture, layers, dimensions, maxSequenceLength, languages, license, hardware } = known
  const download = `: ${megabytes(known.downloadMegabytes * 1e6)} to download`
  const size = precisions.length === 0 ? (state === 'not here' ? download : '') : `: ${precisions.join(', ')}, ${megabytes(bytes)}`
  await output.line(`${bold(name.padEnd(38))} ${state}${size}`)
  const tokens = maxSequenceLength === null ? '128 or 256' : String(maxSequenceLength)
  await output.line(
    dim(`  ${architecture}, ${String(layers)} layers, ${String(dimensions)} dimensions, ${tokens} tokens, ${languages}, ${license}`),
  )
  await output.line(`  best for ${known.bestFor}`)
  const speed =
    row.estimatedMs === null ? '' : `; about ${row.estimatedMs.toFixed(row.estimatedMs < 10 ? 1 : 0)} ms per sentence on one thread here`
  const cores = hardware.cores === 1 ? '1 core' : `${String(hardware.cores)} cores`
  const memory = `${String(hardware.memoryGigabytes)} GB of memory`
  const needs = `  needs ${cores} and ${memory}, ${String(row.memoryMegabytes)} MB of it for weights${speed}`
  await output.line(row.fits ? dim(needs) : yellow(`${needs} (this machine has less)`))
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}
