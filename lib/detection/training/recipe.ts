// Owns the recipe of a head: settings of the variants, and seeds. The sets of the bundled heads are in lab/.

import type { Taken, ClassMass } from './exchanges.js'
import type { FeatureRecipe } from './features.js'

/** A set that heads are trained on. */
export interface RecipeSet {
  readonly name: string
  /** Path of its file. */
  readonly file: string
  /** From its manifest; `own` for a deployment's own conversations. */
  readonly license: string
  readonly taken: Taken
  readonly mass: ClassMass
  /** Share of groups that are trained on; the others set thresholds. */
  readonly trained: number
}

/** A deployment's own conversations as a set of the recipe; each class has the mass `mass`. */
export function ownSet(name: string, file: string, { mass, trained }: { mass: number; trained: number }): RecipeSet {
  return { name, file, license: 'own', taken: 'all', mass: { unsafe: mass, safe: mass }, trained }
}

/** The relative score is fitted on these sets, which people or judges labeled reply by reply; without them, on all. */
export const CURVE_SETS: readonly string[] = ['jailbreakbench', 'xstest']

/** How a head is fitted. */
export interface HeadRecipe extends FeatureRecipe {
  /** Inverse strength of the ridge penalty. */
  readonly c: number
  /**
   * Total weight of a set's comparisons within groups, as a share of all rows. Comparing an unsafe with a safe reply to the same
   * prompt isolates their difference from the topic. 0: none.
   */
  readonly pairShare: number
}

/**
 * The bundled heads: `default`, `noUser` (which ignores the user's topic), and as references the two without comparisons and with
 * one scale for all blocks.
 */
export const VARIANTS = {
  default: { userBlock: true, flagFreedom: 17, productScale: 0.5, c: 4e-4, pairShare: 0.3 },
  noUser: { userBlock: false, flagFreedom: 101, productScale: 0.5, c: 4e-4, pairShare: 0.3 },
  reference: { userBlock: true, flagFreedom: 17, productScale: 1, c: 1e-3, pairShare: 0 },
  referenceNoUser: { userBlock: false, flagFreedom: 101, productScale: 1, c: 1e-3, pairShare: 0 },
} as const satisfies Record<string, HeadRecipe>
export type Variant = keyof typeof VARIANTS

/** Seed of the split into training and held-out conversations. */
export const SPLIT_SEED = 5
