// Owns the way of the sets into memory: read, split, embedded. Knows which sets there are; what is fitted on them is elsewhere.

import { basename } from 'node:path'
import type { Embedder } from '../../embedding/embedder.js'
import type { EmbedderFingerprint, TrainingSet } from '../erosion/artifact.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../erosion/lexicon.js'
import { numericsFingerprint } from '../fitting/arithmetic.js'
import { readCorpus } from '../fitting/corpus.js'
import { embedExchanges, exchangesOf, type ClassMass, type EmbeddedExchange, type Exchange, type WrittenExchange } from './exchanges.js'
import { SPLIT_SEED, type RecipeSet } from './recipe.js'
import { splitGroups } from '../../statistics/groups.js'
import { VectorStore, WINDOWS } from '../fitting/vector-store.js'

/** The sets of a plan, embedded. */
export interface PreparedSets {
  readonly training: readonly EmbeddedExchange[]
  /** Benign conversations that thresholds are set on. */
  readonly keptAside: readonly EmbeddedExchange[]
  readonly measured: Readonly<Record<string, readonly EmbeddedExchange[]>>
  readonly written: readonly WrittenExchange[]
  readonly sources: readonly Omit<TrainingSet, 'unsafe' | 'safe'>[]
  readonly masses: Readonly<Record<string, ClassMass>>
  readonly embedder: EmbedderFingerprint
  /** The instruction set that the vectors were computed with. */
  readonly instructionSet: string
  /** Of the vectors: those of another one differ in their last digits. */
  readonly arithmetic: string
  readonly dimensions: number
}

/** How a training tells what it is doing. */
export type TrainingProgress = (step: { readonly doing: string; readonly done: number; readonly total: number }) => void

/** Exchanges that were written and not collected. */
export interface WrittenSet {
  readonly source: Omit<TrainingSet, 'unsafe' | 'safe'>
  readonly mass: ClassMass
  readonly exchanges: readonly WrittenExchange[]
}

/** What is trained on. */
export interface TrainingPlan {
  readonly sets: readonly RecipeSet[]
  /** Written exchanges, which are trained on before all others; null trains without. */
  readonly written: WrittenSet | null
  /** Sets that are measured and not trained on. */
  readonly measured: readonly { readonly name: string; readonly file: string }[]
  /** Folder that keeps vectors between trainings; null keeps none. */
  readonly cache: string | null
}

/**
 * Reads and embeds all sets of a plan.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` naming the file, and what embedding throws
 */
export async function prepareSets(
  embedder: Embedder,
  plan: TrainingPlan,
  options: { signal?: AbortSignal; onProgress?: TrainingProgress } = {},
): Promise<PreparedSets> {
  const store = await VectorStore.open(embedder, WINDOWS, plan.cache)
  const training: Exchange[] = []
  const keptAside: Exchange[] = []
  const sources: PreparedSets['sources'][number][] = []
  const masses: Record<string, ClassMass> = {}
  if (plan.written !== null) {
    const { source, mass, exchanges } = plan.written
    training.push(...exchanges)
    sources.push(source)
    masses[source.name] = mass
  }
  for (const { name, file, taken, trained, mass, license } of plan.sets) {
    const corpus = await readCorpus(file, name)
    sources.push({ name, file: basename(file), sha256: corpus.sha256, license })
    masses[name] = mass
    const exchanges = exchangesOf(corpus, taken)
    const { second } = splitGroups(
      exchanges.map(({ group }) => group),
      trained,
      SPLIT_SEED,
    )
    for (const exchange of exchanges) (second.has(exchange.group) ? keptAside : training).push(exchange)
  }
  const measured: Record<string, Exchange[]> = {}
  for (const { name, file } of plan.measured) measured[name] = exchangesOf(await readCorpus(file, name), 'all')

  const { signal, onProgress } = options
  const all = [...training, ...keptAside, ...Object.values(measured).flat()]
  const embedded = await embedExchanges(all, store, new RefusalReader(ENGLISH_REFUSALS), {
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: (progress) => {
        onProgress({ doing: 'embedding texts', ...progress })
      },
    }),
  })
  let at = 0
  const take = (count: number): EmbeddedExchange[] => embedded.slice(at, (at += count))
  const { model, modelHash, precision, instructionSet } = embedder.info
  return {
    training: take(training.length),
    keptAside: take(keptAside.length),
    measured: Object.fromEntries(Object.entries(measured).map(([name, exchanges]) => [name, take(exchanges.length)])),
    written: plan.written?.exchanges ?? [],
    sources,
    masses,
    embedder: { model, hash: modelHash, precision },
    instructionSet,
    arithmetic: await numericsFingerprint(embedder),
    dimensions: embedder.dimensions,
  }
}
