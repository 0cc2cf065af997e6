// Owns the training of an artifact on embedded sets: head, relative score, thresholds, anchors.
// Knows the recipe; `prepare.ts` reads and embeds, the command line prints.

import type { ErosionArtifact, TrainingSet } from '../erosion/artifact.js'
import { ENGLISH_REFUSALS } from '../erosion/lexicon.js'
import { BUDGETS } from '../erosion/thresholds.js'
import { findAnchors } from './anchors.js'
import { byConversation, thresholdsFrom } from './conversation-scores.js'
import { WINDOWS } from '../fitting/vector-store.js'
import { rowWeights, type EmbeddedExchange } from './exchanges.js'
import type { PreparedSets, TrainingProgress } from './prepare.js'
import { CURVE_SETS, SPLIT_SEED, VARIANTS, type Variant } from './recipe.js'
import { crossValidated, fitRelativeScore, outOfFoldLogits } from './relative-score.js'
import { fitHead, logitsAtRunTime, type HeadFit } from './train-head.js'

/** A trained variant with its cross-validated AUROC per set. */
export interface TrainedVariant {
  readonly artifact: ErosionArtifact
  readonly crossValidated: readonly { readonly set: string; readonly auroc: number }[]
}

/** Trains one of the bundled variants on prepared sets. */
export function trainVariant(
  variant: Variant,
  sets: PreparedSets,
  options: { signal?: AbortSignal; onProgress?: TrainingProgress } = {},
): TrainedVariant {
  const { training, heldOut, sources, masses, embedder, instructionSet, numericsFingerprint, dimensions } = sets
  const recipe = VARIANTS[variant]
  const fit: HeadFit = { recipe, dimensions, ...(options.signal !== undefined && { signal: options.signal }) }
  let fits = 0
  const fitted = (): void => options.onProgress?.({ doing: `fitting ${variant}`, done: ++fits, total: 6 })
  const weights = rowWeights(training, masses)
  const { head, model } = fitHead(training, weights, fit)
  fitted()
  const logits = outOfFoldLogits(training, masses, { ...fit, start: model }, fitted)
  const curve = curveRows(training)
  const unsafe = new Set(heldOut.filter(({ label }) => label === 'unsafe').map(({ conversation }) => conversation))
  const benign = heldOut.filter(({ conversation }) => !unsafe.has(conversation))
  const thresholds = thresholdsFrom(byConversation(benign, logitsAtRunTime(head, benign)), BUDGETS, {
    source: `${[...new Set(benign.map(({ set }) => set))].join(', ')}: benign conversations that training does not see`,
    embedder,
  })
  const artifact: ErosionArtifact = {
    name: variant,
    embedder,
    windows: WINDOWS,
    head,
    lexicon: ENGLISH_REFUSALS,
    relativeScore: fitRelativeScore(
      curve.map((row) => training[row]!),
      curve.map((row) => logits[row]!),
    ),
    anchors: findAnchors(training, weights),
    thresholds,
    recipe: { variant, ...recipe, splitSeed: SPLIT_SEED, rows: training.length, instructionSet, numericsFingerprint },
    sets: sources.map((source) => ({ ...source, ...classesOf(source.name, sets) })),
  }
  return { artifact, crossValidated: crossValidated(training, logits) }
}

/** The exchanges that the relative score is fitted on. */
function curveRows(training: readonly EmbeddedExchange[]): number[] {
  const rows = training.flatMap(({ set }, row) => (CURVE_SETS.includes(set) ? [row] : []))
  return rows.length > 0 ? rows : training.map((_, row) => row)
}

function classesOf(name: string, { training, masses }: PreparedSets): Pick<TrainingSet, 'safe' | 'unsafe'> {
  const rows = (label: 'safe' | 'unsafe'): number => training.filter((exchange) => exchange.set === name && exchange.label === label).length
  const mass = masses[name] ?? { safe: 0, unsafe: 0 }
  return { unsafe: { rows: rows('unsafe'), mass: mass.unsafe }, safe: { rows: rows('safe'), mass: mass.safe } }
}
