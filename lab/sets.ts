// Owns the sets of the bundled heads: files, class masses, and the split into training and evaluation sets.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ENGLISH_REFUSALS, RefusalReader } from '../lib/detection/erosion/lexicon.js'
import { readCorpus } from '../lib/detection/fitting/corpus.js'
import { VectorStore, WINDOWS } from '../lib/detection/fitting/vector-store.js'
import { embedExchanges, exchangesOf, type ClassMass, type EmbeddedExchange, type Exchange } from '../lib/detection/training/exchanges.js'
import { prepareSets, type PreparedSets } from '../lib/detection/training/prepare.js'
import type { RecipeSet, Variant } from '../lib/detection/training/recipe.js'
import { trainVariant, type TrainedVariant } from '../lib/detection/training/train.js'
import type { Embedder } from '../lib/embedding/embedder.js'
import { tagAnchors } from './anchor-tags.js'
import { readTemplates, TEMPLATE_SET, writtenExchanges, type WrittenExchange } from './templates.js'

/** The licensed sets of this checkout. */
export const DATA = fileURLToPath(new URL('../data/', import.meta.url))

/** The conversations that heads are trained on, by name in {@link DATA}; the written exchanges come on top. */
const RECIPE_SETS: readonly RecipeSet[] = [
  { name: 'jailbreakbench', file: 'jailbreakbench.jsonl.gz', license: 'MIT', taken: 'all', mass: { unsafe: 0.5, safe: 0.5 }, trained: 1 },
  { name: 'xstest', file: 'xstest.jsonl.gz', license: 'CC-BY-4.0', taken: 'all', mass: { unsafe: 0.5, safe: 0.5 }, trained: 1 },
  // The labels are weak: many rejected replies are harmless. Both classes come from the same attackers on the same topics.
  {
    name: 'hh-rlhf-harmless',
    file: 'hh-rlhf-harmless.jsonl.gz',
    license: 'MIT',
    taken: 'last',
    mass: { unsafe: 0.35, safe: 0.65 },
    trained: 1,
  },
  { name: 'mt-bench-101', file: 'mt-bench-101.jsonl.gz', license: 'Apache-2.0', taken: 'all', mass: { unsafe: 0, safe: 1 }, trained: 0.6 },
]

const TEMPLATE_FILE = 'detector-templates.json'
const TEMPLATE_MASS: ClassMass = { unsafe: 1, safe: 1 }

/** Sets that are measured on and never trained on. */
const MEASURED_SETS = [
  { name: 'diasafety-test', file: 'diasafety-test.jsonl.gz' },
  { name: 'sgd-test', file: 'sgd-test.jsonl.gz' },
] as const

/** The sets of the bundled heads, embedded. */
export interface BundledSets extends PreparedSets {
  /** The first rows of `training`. */
  readonly written: readonly WrittenExchange[]
  readonly measured: Readonly<Record<string, readonly EmbeddedExchange[]>>
}

/**
 * Reads and embeds the sets of the bundled heads.
 *
 * @param cache - folder of the vector cache; null for none
 * @param own - further sets to train on
 */
export async function bundledSets(embedder: Embedder, cache: string | null, own: readonly RecipeSet[] = []): Promise<BundledSets> {
  const recipeSets = RECIPE_SETS.map((set) => ({ ...set, file: join(DATA, set.file) }))
  const sets = await prepareSets(embedder, { sets: [...recipeSets, ...own], cache })
  const store = await VectorStore.open(embedder, WINDOWS, cache)
  const embed = (exchanges: readonly Exchange[]): Promise<EmbeddedExchange[]> =>
    embedExchanges(exchanges, store, new RefusalReader(ENGLISH_REFUSALS))
  const { lists, sha256 } = await readTemplates(join(DATA, TEMPLATE_FILE))
  const written = writtenExchanges(lists)
  const measured: Record<string, EmbeddedExchange[]> = {}
  for (const { name, file } of MEASURED_SETS) measured[name] = await embed(exchangesOf(await readCorpus(join(DATA, file), name), 'all'))
  return {
    ...sets,
    training: [...(await embed(written)), ...sets.training],
    sources: [{ name: TEMPLATE_SET, file: TEMPLATE_FILE, sha256, license: 'Apache-2.0' }, ...sets.sources],
    masses: { ...sets.masses, [TEMPLATE_SET]: TEMPLATE_MASS },
    written,
    measured,
  }
}

/** Trains one of the bundled heads; its anchors have the topics of written exchanges as tags. */
export function trainBundled(variant: Variant, sets: BundledSets): TrainedVariant {
  const { artifact, crossValidated } = trainVariant(variant, sets)
  const tagged = sets.written.map(({ kind, topic }, row) => ({ kind, topic, vector: sets.training[row]!.replyVector }))
  return { artifact: { ...artifact, anchors: tagAnchors(artifact.anchors, tagged) }, crossValidated }
}
