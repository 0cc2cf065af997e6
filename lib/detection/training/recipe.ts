// Owns the recipe of a head: the switches of the variants, the seeds, the budgets. The sets of the bundled heads are in lab/.

import type { Taken, ClassMass } from './exchanges.js'
import type { FeatureRecipe } from './features.js'

/** A set that heads are trained on. */
export interface RecipeSet {
  readonly name: string
  /** Path of its file. */
  readonly file: string
  /** As its manifest says; `own` for somebody's own conversations. */
  readonly license: string
  readonly taken: Taken
  readonly mass: ClassMass
  /** Share of groups that are trained on; the others set thresholds. */
  readonly trained: number
}

/** Somebody's own conversations as a set of the recipe; each class weighs `mass`. */
export function ownSet(name: string, file: string, { mass, trained }: { mass: number; trained: number }): RecipeSet {
  return { name, file, license: 'own', taken: 'all', mass: { unsafe: mass, safe: mass }, trained }
}

/** Name of the written exchanges among the sets. */
export const TEMPLATE_SET = 'templates'
/** The relative score is fitted on these sets, which people or judges labeled reply by reply; on all others where they are missing. */
export const CURVE_SETS: readonly string[] = ['jailbreakbench', 'xstest']

/** How a head is fitted. */
export interface HeadRecipe extends FeatureRecipe {
  /** Inverse strength of the ridge penalty. */
  readonly c: number
  /**
   * Weight of the comparisons within groups: those of one set weigh together this share of all rows. Comparing an unsafe reply with a
   * safe one to the same prompt tells how they differ, whatever the topic. 0: none.
   */
  readonly pairShare: number
}

/**
 * The heads that are shipped: `default` and, blind to topics, `noUser`; and beside them, as a yardstick, the two without comparisons
 * and with one scale for all blocks.
 */
export const VARIANTS = {
  default: { userBlock: true, flagFreedom: 17, productScale: 0.5, c: 4e-4, pairShare: 0.3 },
  noUser: { userBlock: false, flagFreedom: 101, productScale: 0.5, c: 4e-4, pairShare: 0.3 },
  reference: { userBlock: true, flagFreedom: 17, productScale: 1, c: 1e-3, pairShare: 0 },
  referenceNoUser: { userBlock: false, flagFreedom: 101, productScale: 1, c: 1e-3, pairShare: 0 },
} as const satisfies Record<string, HeadRecipe>
export type Variant = keyof typeof VARIANTS

/** Draws the conversations of a set that are kept aside. */
export const SPLIT_SEED = 5
