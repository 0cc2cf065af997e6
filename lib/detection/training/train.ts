// Owns the training of the shipped heads from start to artefact: sets in, embedded, fitted, thresholds set, anchors found.
// Knows the recipe and the rooms beside it; printing and flags are the command line's.

import { join } from 'node:path'
import type { Embedder } from '../../embedding/embedder.js'
import type { ErosionArtefact, EmbedderFingerprint, TrainingSet } from '../erosion/artefact.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../erosion/lexicon.js'
import { findAnchors } from './anchors.js'
import { byConversation, thresholdsFrom } from './conversation-scores.js'
import { readCorpus } from './corpus.js'
import { embedExchanges, exchangesOf, exchangesOfTemplates, rowWeights, type EmbeddedExchange, type Exchange } from './exchanges.js'
import {
  BUDGETS,
  MEASURED_SETS,
  RECIPE_MASSES,
  RECIPE_SETS,
  RIDGE_C,
  SPLIT_SEED,
  TEMPLATE_FILE,
  VARIANTS,
  WINDOWS,
  type Variant,
} from './recipe.js'
import { crossValidated, fitRelativeScore, outOfFoldLogits } from './relative-score.js'
import { splitGroups } from './splits.js'
import { expandTemplates, readTemplates, type TemplateExchange } from './templates.js'
import { fitHead, logitsAtRunTime, type HeadFit } from './train-head.js'
import { VectorStore } from './vector-store.js'

/** The sets that the shipped heads are made from, embedded. */
export interface PreparedSets {
  readonly training: readonly EmbeddedExchange[]
  /** Benign conversations that thresholds are set on. */
  readonly keptAside: readonly EmbeddedExchange[]
  readonly measured: Readonly<Record<string, readonly EmbeddedExchange[]>>
  readonly written: readonly TemplateExchange[]
  readonly sources: readonly Omit<TrainingSet, 'unsafe' | 'safe'>[]
  readonly embedder: EmbedderFingerprint
  readonly dimensions: number
}

/** How a training tells what it is doing. */
export interface TrainingProgress {
  (step: { readonly doing: string; readonly done: number; readonly total: number }): void
}

/** Where sets and vectors lie. */
export interface TrainingPlaces {
  /** Folder with the sets, their MANIFEST.json and the templates. */
  readonly sets: string
  /** Folder that keeps vectors between trainings; null keeps none. */
  readonly cache: string | null
}

/** Licences of the sets, as their manifest says. */
const LICENCES: Readonly<Record<string, string>> = {
  jailbreakbench: 'MIT',
  xstest: 'CC-BY-4.0',
  'hh-rlhf-harmless': 'MIT',
  'mt-bench-101': 'Apache-2.0',
  templates: 'Apache-2.0',
}

/**
 * Reads and embeds all sets of the recipe.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` or `ARTEFACT_INVALID` naming the file, and what embedding throws
 */
export async function prepareSets(
  embedder: Embedder,
  places: TrainingPlaces,
  options: { signal?: AbortSignal; onProgress?: TrainingProgress } = {},
): Promise<PreparedSets> {
  const store = await VectorStore.open(embedder, WINDOWS, places.cache)
  const { lists, sha256 } = await readTemplates(join(places.sets, TEMPLATE_FILE))
  const written = expandTemplates(lists)
  const training: Exchange[] = exchangesOfTemplates(written)
  const keptAside: Exchange[] = []
  const sources: Omit<TrainingSet, 'unsafe' | 'safe'>[] = [{ name: 'templates', file: TEMPLATE_FILE, sha256, licence: LICENCES.templates! }]
  for (const { name, file, taken, trained } of RECIPE_SETS) {
    const corpus = await readCorpus(join(places.sets, file), name)
    sources.push({ name, file, sha256: corpus.sha256, licence: LICENCES[name] ?? 'unknown' })
    const exchanges = exchangesOf(corpus, taken)
    const { first } = splitGroups(
      exchanges.map(({ group }) => group),
      trained,
      SPLIT_SEED,
    )
    for (const exchange of exchanges) (trained === 1 || first.has(exchange.group) ? training : keptAside).push(exchange)
  }
  const measured: Record<string, Exchange[]> = {}
  for (const { name, file } of MEASURED_SETS) measured[name] = exchangesOf(await readCorpus(join(places.sets, file), name), 'all')

  const all = [...training, ...keptAside, ...Object.values(measured).flat()]
  const refusals = new RefusalReader(ENGLISH_REFUSALS)
  const { signal, onProgress } = options
  const embedded = await embedExchanges(all, store, refusals, {
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress: (progress) => onProgress({ doing: 'embedding texts', ...progress }) }),
  })
  let at = 0
  const take = (count: number): EmbeddedExchange[] => embedded.slice(at, (at += count))
  const { model, modelHash, precision } = embedder.info
  return {
    training: take(training.length),
    keptAside: take(keptAside.length),
    measured: Object.fromEntries(Object.entries(measured).map(([name, exchanges]) => [name, take(exchanges.length)])),
    written,
    sources,
    embedder: { model, hash: modelHash, precision },
    dimensions: embedder.dimensions,
  }
}

/** A trained variant, and how it did in cross-validation. */
export interface TrainedVariant {
  readonly artefact: ErosionArtefact
  readonly crossValidated: readonly { readonly set: string; readonly auroc: number }[]
}

/** Trains one of the shipped variants on prepared sets. */
export function trainVariant(
  variant: Variant,
  sets: PreparedSets,
  options: { signal?: AbortSignal; onProgress?: TrainingProgress } = {},
): TrainedVariant {
  const { training, keptAside, written, sources, embedder, dimensions } = sets
  const recipe = VARIANTS[variant]
  const fit: HeadFit = { recipe, c: RIDGE_C, dimensions, ...(options.signal !== undefined && { signal: options.signal }) }
  let fits = 0
  const fitted = (): void => options.onProgress?.({ doing: `fitting ${variant}`, done: ++fits, total: 6 })
  const weights = rowWeights(training, RECIPE_MASSES)
  const { head, model } = fitHead(training, weights, fit)
  fitted()
  const logits = outOfFoldLogits(training, RECIPE_MASSES, { ...fit, start: model }, fitted)
  const curve = training.flatMap(({ set }, row) => (set === 'jailbreakbench' || set === 'xstest' ? [row] : []))
  const thresholds = thresholdsFrom(byConversation(keptAside, logitsAtRunTime(head, keptAside)), BUDGETS, {
    source: `mt-bench-101: the conversations that training does not see`,
    embedder,
  })
  const tagged = training.flatMap((exchange, row) =>
    row < written.length ? [{ kind: written[row]!.kind, topic: written[row]!.topic, vector: exchange.replyVector }] : [],
  )
  const artefact: ErosionArtefact = {
    name: variant,
    embedder,
    windows: WINDOWS,
    head,
    lexicon: ENGLISH_REFUSALS,
    relativeScore: fitRelativeScore(
      curve.map((row) => training[row]!),
      curve.map((row) => logits[row]!),
    ),
    anchors: findAnchors(training, weights, tagged),
    thresholds,
    recipe: { variant, ...recipe, c: RIDGE_C, splitSeed: SPLIT_SEED, rows: training.length },
    sets: sources.map((source) => ({ ...source, ...classesOf(source.name, training) })),
  }
  return { artefact, crossValidated: crossValidated(training, logits) }
}

function classesOf(name: string, training: readonly EmbeddedExchange[]): Pick<TrainingSet, 'safe' | 'unsafe'> {
  const rows = (label: 'safe' | 'unsafe'): number => training.filter((exchange) => exchange.set === name && exchange.label === label).length
  const mass = RECIPE_MASSES[name] ?? { safe: 0, unsafe: 0 }
  return { unsafe: { rows: rows('unsafe'), mass: mass.unsafe }, safe: { rows: rows('safe'), mass: mass.safe } }
}
