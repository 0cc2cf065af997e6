// Owns `gabion compare`: compares two embedders or vector files on the same texts, and decides whether it is safe to switch.

import { Command, Option } from 'commander'
import { GabionError } from '../errors.js'
import { comparePoints, compareSpaces, MAX_TEXTS } from '../migration/agreement.js'
import { compareAlerts, type AlertAgreement } from '../migration/alerts.js'
import { latencyOf, type ComparedSide, type Comparison } from '../migration/comparison.js'
import { embedTimed } from '../migration/source.js'
import { judge } from '../migration/verdict.js'
import { Monitor } from '../monitor/monitor.js'
import { LinearAdapter } from '../projection/adapter.js'
import { importProjection } from '../projection/import.js'
import type { Projection, VectorRows } from '../projection/projection.js'
import { comparisonPage } from '../report/comparison-page.js'
import { openSide, SIDE_FORMS, sourceOf, type CloudFlags, type CompareSide } from './compare-source.js'
import { showComparison } from './compare-view.js'
import { finishCommand, parseCount, type Context } from './command.js'
import { writeWhole } from '../files/pending-file.js'
import { Progress } from './progress.js'
import { readTexts, type TextFormat } from './text-source.js'
import { readConversations } from './exchange-feed.js'
import { addTextFormat } from './vector-file.js'
import { packageVersion } from '../package-folder.js'

interface CompareFlags extends CloudFlags {
  old: string
  new: string
  input?: string
  format: TextFormat
  sample: number
  neighbors: number
  adapter?: string
  oldProjection?: string
  newProjection?: string
  transcripts?: string[]
  preset?: 'demo' | 'deployment'
  safeText?: string
  pricePerMillion?: number
  report?: string
  out?: string
  failUnlessSafe?: boolean
}

/** The command `compare`. */
export function compareCommand(): Command {
  const command = new Command('compare')
    .summary('compare two embedders on the same texts: is it safe to switch?')
    .description(
      'Compares an old and a new embedder on the same texts: latency, similarity of pairs, nearest neighbors, geometry, projected vectors, and alerts exchange by exchange. ' +
        `Prints "safe" or "not safe" with reasons. A side is ${SIDE_FORMS}.`,
    )
    .requiredOption('--old <side>', 'the embedder in use')
    .requiredOption('--new <side>', 'its replacement')
    .option('-i, --input <file>', 'texts to embed with both (not for two .npy files, whose rows are paired already)')
    .option('--sample <n>', `texts to compare, sampled evenly from the input (at most ${String(MAX_TEXTS)})`, parseCount, 1000)
    .option('--neighbors <k>', 'nearest neighbors to compare', parseCount, 10)
    .option('--adapter <file>', 'maps new vectors into the old space first ("gabion adapter fit")')
    .option('--old-projection <file>', "the old side's projection: for comparing projected vectors, and for its alerts")
    .option('--new-projection <file>', "the new side's projection (default: the old one after the adapter)")
    .option('--transcripts <file...>', 'conversations to judge with both, exchange by exchange (detector "classic")')
    .addOption(new Option('--preset <name>', 'weights of the detector (default: "demo")').choices(['demo', 'deployment']))
    .option('--safe-text <text>', 'a safe reference reply for the detector')
    .option('--record <file.jsonl>', "record the cloud's vectors: recorded texts are not requested again")
    .option('--region <name>', "the cloud's region (default: as its client finds it)")
    .option('--endpoint <url>', "another endpoint of the cloud's service")
    .option('--texts-per-second <n>', "maximum of the cloud's calls per second", Number, 10)
    .option('--price-per-million <price>', "the cloud's price per million tokens, to compute the cost", Number)
    .option('--report <file.html>', 'also write a page with plots')
    .option('-o, --out <file.json>', 'also write the full result as JSON')
    .option('--fail-unless-safe', 'exit code 1 if it is not safe')
  return finishCommand<CompareFlags>(
    addTextFormat(command),
    [
      'gabion compare --old all-MiniLM-L12-v2 --new all-MiniLM-L6-v2 --input texts.txt --report compare.html',
      'gabion compare --old bedrock --record titan.jsonl --new all-MiniLM-L6-v2 --input texts.txt',
      'gabion compare --old cloud.npy --new local.npy --adapter adapter.json --old-projection cloud.pca.json --out compare.json',
    ],
    run,
  )
}

async function run(context: Context, flags: CompareFlags): Promise<number> {
  const sides: CompareSide[] = []
  try {
    const old = await openSide(flags.old, flags)
    sides.push(old)
    const fresh = await openSide(flags.new, flags)
    sides.push(fresh)
    const comparison = await compare(context, flags, old, fresh)
    if (flags.out !== undefined) await writeWhole(flags.out, `${JSON.stringify(comparison, null, 2)}\n`)
    if (flags.report !== undefined) await writeWhole(flags.report, comparisonPage(comparison, madeBy()))
    await showComparison(context.output, comparison)
    for (const file of [flags.report, flags.out]) if (file !== undefined) context.output.note(`written: ${file}`)
    return flags.failUnlessSafe === true && !comparison.verdict.safe ? 1 : 0
  } finally {
    for (const side of sides) if (side.kind === 'source') side.close()
  }
}

function madeBy(): string {
  return `Made by gabion ${packageVersion()} on ${new Date().toISOString().slice(0, 10)}.`
}

interface Projections {
  old: Projection | null
  fresh: Projection | null
}

async function compare(context: Context, flags: CompareFlags, old: CompareSide, fresh: CompareSide): Promise<Comparison> {
  const adapter = flags.adapter === undefined ? null : await LinearAdapter.load(flags.adapter)
  const projections = await openProjections(flags, adapter)
  const [before, after] = await pairedVectors(context, flags, old, fresh)
  let space = null
  let points = null
  if (before !== null) {
    const mapped = adapter === null ? after.vectors : mapRows(after.vectors, (vector) => adapter.apply(vector), adapter.targetDimensions)
    space = compareSpaces(before.vectors, mapped, flags.neighbors)
    const { old: plane, fresh: newPlane } = projections
    if (plane !== null && newPlane !== null) points = comparePoints(projected(before.vectors, plane), projected(after.vectors, newPlane))
  }
  const alerts = flags.transcripts === undefined ? null : await alertsOf(context, flags, old, fresh, projections)
  return {
    format: 'gabion-comparison',
    version: 1,
    old: sideOf(old, before, flags),
    new: sideOf(fresh, after, flags),
    adapter: flags.adapter ?? null,
    space,
    points,
    alerts,
    verdict: judge({ space, points, alerts }),
  }
}

async function openProjections(flags: CompareFlags, adapter: LinearAdapter | null): Promise<Projections> {
  const old = flags.oldProjection === undefined ? null : await importProjection(flags.oldProjection)
  if (flags.newProjection !== undefined) return { old, fresh: await importProjection(flags.newProjection) }
  return { old, fresh: old !== null && adapter !== null ? adapter.fold(old) : null }
}

interface SideVectors {
  vectors: { rows: number; dimensions: number; data: Float32Array }
  milliseconds: readonly number[]
}

/** Vectors of the same texts by both sides; null if only transcripts are compared. */
async function pairedVectors(
  context: Context,
  flags: CompareFlags,
  old: CompareSide,
  fresh: CompareSide,
): Promise<[SideVectors, SideVectors] | [null, null]> {
  if (flags.sample > MAX_TEXTS)
    throw new GabionError('INVALID_ARGUMENT', `--sample must be at most ${String(MAX_TEXTS)}, got ${String(flags.sample)}`)
  if (flags.input === undefined) {
    if (old.kind === 'vectors' && fresh.kind === 'vectors') {
      if (old.vectors.rows !== fresh.vectors.rows)
        throw new GabionError(
          'INVALID_ARGUMENT',
          `row i of both must be the same text: ${old.name} has ${String(old.vectors.rows)} rows, ${fresh.name} ${String(fresh.vectors.rows)}`,
        )
      const chosen = evenly(old.vectors.rows, flags.sample)
      return [
        { vectors: pick(old.vectors, chosen), milliseconds: [] },
        { vectors: pick(fresh.vectors, chosen), milliseconds: [] },
      ]
    }
    if (flags.transcripts === undefined)
      throw new GabionError('INVALID_ARGUMENT', 'pass texts with --input FILE, or conversations with --transcripts FILE')
    return [null, null]
  }
  const texts: string[] = []
  for await (const { text } of readTexts(flags.input, flags.format, context.signal)) texts.push(text)
  const chosen = evenly(texts.length, flags.sample)
  const vectorsOf = async (side: CompareSide): Promise<SideVectors> => {
    if (side.kind === 'vectors') {
      if (side.vectors.rows !== texts.length)
        throw new GabionError(
          'INVALID_ARGUMENT',
          `${side.name} has ${String(side.vectors.rows)} rows, ${String(flags.input)} ${String(texts.length)} texts`,
        )
      return { vectors: pick(side.vectors, chosen), milliseconds: [] }
    }
    using progress = new Progress(context.output, `embedding with ${side.source.name}`, 'texts', chosen.length)
    const onText = (done: number): void => {
      progress.update(done, done)
    }
    return await embedTimed(
      side.source,
      chosen.map((row) => texts[row]!),
      { signal: context.signal, onText },
    )
  }
  return [await vectorsOf(old), await vectorsOf(fresh)]
}

/** `count` of `total` indices, evenly spread. */
function evenly(total: number, count: number): number[] {
  if (total <= count) return Array.from({ length: total }, (_, index) => index)
  return Array.from({ length: count }, (_, index) => Math.floor((index * total) / count))
}

function pick({ dimensions, data }: SideVectors['vectors'], chosen: readonly number[]): SideVectors['vectors'] {
  const picked = new Float32Array(chosen.length * dimensions)
  chosen.forEach((row, index) => {
    picked.set(data.subarray(row * dimensions, (row + 1) * dimensions), index * dimensions)
  })
  return { rows: chosen.length, dimensions, data: picked }
}

function mapRows(
  { rows, dimensions, data }: SideVectors['vectors'],
  map: (vector: Float32Array) => Float32Array,
  width: number,
): VectorRows {
  const mapped = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) mapped.set(map(data.subarray(row * dimensions, (row + 1) * dimensions)), row * width)
  return { rows, dimensions: width, data: mapped }
}

function projected(vectors: SideVectors['vectors'], projection: Projection): VectorRows {
  return mapRows(vectors, (vector) => projection.apply(vector), projection.components)
}

async function alertsOf(
  context: Context,
  flags: CompareFlags,
  old: CompareSide,
  fresh: CompareSide,
  projections: Projections,
): Promise<AlertAgreement> {
  const why = 'but conversations have to be embedded'
  const open = async (side: CompareSide, projection: Projection | null): Promise<Monitor> => {
    const classic = {
      ...(projection !== null && { projection }),
      ...(flags.preset !== undefined && { preset: flags.preset }),
      ...(flags.safeText !== undefined && { safeText: flags.safeText }),
    }
    return await Monitor.load({ embedder: sourceOf(side, why).embedder, detector: 'classic', classic })
  }
  const monitors = [await open(old, projections.old), await open(fresh, projections.fresh)] as const
  using progress = new Progress(context.output, 'judging', 'exchanges', null)
  const onExchange = (exchanges: number): void => {
    progress.update(0, exchanges)
  }
  const conversations = readConversations(flags.transcripts ?? [], () => undefined)
  return await compareAlerts(...monitors, conversations, { signal: context.signal, onExchange })
}

function sideOf(side: CompareSide, vectors: SideVectors | null, flags: CompareFlags): ComparedSide {
  const tokens = side.kind === 'source' ? side.source.chargedTokens() : null
  return {
    name: side.kind === 'source' ? side.source.name : side.name,
    dimensions: vectors?.vectors.dimensions ?? (side.kind === 'vectors' ? side.vectors.dimensions : side.source.embedder.info.dimensions),
    latency: latencyOf(vectors?.milliseconds ?? []),
    cost: tokens === null || flags.pricePerMillion === undefined ? null : (tokens / 1e6) * flags.pricePerMillion,
  }
}
