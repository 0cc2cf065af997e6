// Owns reading, splitting and embedding of the sets of a training plan. Knows sets; no fitting.

import { basename } from 'node:path'
import type { Embedder } from '../../embedding/embedder.js'
import type { EmbedderFingerprint, TrainingSet } from '../erosion/artifact.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../erosion/lexicon.js'
import { numericsFingerprint } from '../fitting/numerics.js'
import { readCorpus } from '../fitting/corpus.js'
import { embedExchanges, exchangesOf, type ClassMass, type EmbeddedExchange, type Exchange } from './exchanges.js'
import { SPLIT_SEED, type RecipeSet } from './recipe.js'
import { splitGroups } from '../../statistics/groups.js'
import { VectorStore, WINDOWS } from '../fitting/vector-store.js'

/** The sets of a plan, embedded. */
export interface PreparedSets {
  readonly training: readonly EmbeddedExchange[]
  /** Benign conversations that thresholds are set on. */
  readonly heldOut: readonly EmbeddedExchange[]
  readonly sources: readonly Omit<TrainingSet, 'unsafe' | 'safe'>[]
  readonly masses: Readonly<Record<string, ClassMass>>
  readonly embedder: EmbedderFingerprint
  /** The instruction set of the encoder. */
  readonly instructionSet: string
  /** Of the encoder; vectors of another one differ in their last digits. */
  readonly numericsFingerprint: string
  readonly dimensions: number
}

/** Callback for the progress of a training. */
export type TrainingProgress = (step: { readonly doing: string; readonly done: number; readonly total: number }) => void

/** The sets of a training. */
export interface TrainingPlan {
  readonly sets: readonly RecipeSet[]
  /** Folder of the vector cache; null for none. */
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
  const heldOut: Exchange[] = []
  const sources: PreparedSets['sources'][number][] = []
  const masses: Record<string, ClassMass> = {}
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
    for (const exchange of exchanges) (second.has(exchange.group) ? heldOut : training).push(exchange)
  }
  const { signal, onProgress } = options
  const embedded = await embedExchanges([...training, ...heldOut], store, new RefusalReader(ENGLISH_REFUSALS), {
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: (progress) => {
        onProgress({ doing: 'embedding texts', ...progress })
      },
    }),
  })
  const { model, modelHash, precision, instructionSet } = embedder.info
  return {
    training: embedded.slice(0, training.length),
    heldOut: embedded.slice(training.length),
    sources,
    masses,
    embedder: { model, hash: modelHash, precision },
    instructionSet,
    numericsFingerprint: await numericsFingerprint(embedder),
    dimensions: embedder.dimensions,
  }
}
