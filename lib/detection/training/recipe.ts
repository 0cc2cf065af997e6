// Owns the recipe of the shipped heads: the sets, their class masses, the switches of the two variants, the seeds.

import type { Taken, ClassMass } from './exchanges.js'
import type { FeatureRecipe } from './features.js'

/** A set that heads are trained on. */
export interface RecipeSet {
  readonly name: string
  /** Its file; in {@link RECIPE_SETS} the name in the folder of the sets, else a path. */
  readonly file: string
  /** As its manifest says; `own` for somebody's own conversations. */
  readonly license: string
  readonly taken: Taken
  readonly mass: ClassMass
  /** Share of groups that are trained on; the others set thresholds. */
  readonly trained: number
}

/** The conversations that heads are trained on; the templates come on top. */
export const RECIPE_SETS: readonly RecipeSet[] = [
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

/** Written exchanges. */
export const TEMPLATE_FILE = 'detector-templates.json'
export const TEMPLATE_MASS: ClassMass = { unsafe: 1, safe: 1 }

/** Sets that are measured on and never trained on. */
export const MEASURED_SETS = [
  { name: 'diasafety-test', file: 'diasafety-test.jsonl.gz' },
  { name: 'sgd-test', file: 'sgd-test.jsonl.gz' },
] as const

/** Name of the written exchanges among the sets. */
export const TEMPLATE_SET = 'templates'
/** The relative score is fitted on these sets, which people or judges labelled reply by reply; on all others where they are missing. */
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
/** How texts are cut: the 256 tokens of the model less its two special ones, overlapping by 54. */
export const WINDOWS = { size: 254, stride: 200 } as const
/** Share of benign conversations that may reach each level. */
export const BUDGETS = { elevated: 0.05, alert: 0.01 } as const
