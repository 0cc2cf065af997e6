// Owns the sets of the bundled heads: files, class masses, and the split into training and evaluation sets.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClassMass } from '../lib/detection/training/exchanges.js'
import type { TrainingPlan } from '../lib/detection/training/prepare.js'
import { TEMPLATE_SET, type RecipeSet } from '../lib/detection/training/recipe.js'
import { readTemplates, writtenExchanges } from './templates.js'

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

/**
 * The plan of the bundled heads.
 *
 * @param own - further sets to train on
 */
export async function bundledPlan(cache: string | null, own: readonly RecipeSet[] = []): Promise<TrainingPlan> {
  const inFolder = <T extends { readonly file: string }>(set: T): T => ({ ...set, file: join(DATA, set.file) })
  const { lists, sha256 } = await readTemplates(join(DATA, TEMPLATE_FILE))
  return {
    sets: [...RECIPE_SETS.map(inFolder), ...own],
    written: {
      source: { name: TEMPLATE_SET, file: TEMPLATE_FILE, sha256, license: 'Apache-2.0' },
      mass: TEMPLATE_MASS,
      exchanges: writtenExchanges(lists),
    },
    measured: MEASURED_SETS.map(inFolder),
    cache,
  }
}
