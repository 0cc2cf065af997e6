// Trains the bundled detectors from the sets of this checkout, and prints the table of docs/erosion-detector.md: every set left out once, next to
// the controls.
//
//   node --import tsx lab/train-detector.ts --out models/detectors/erosion [--cache FOLDER] [--variant NAME] [--mass N] [--no-tables] [FILE…]
//
// Files of labeled conversations, as `gabion detector train` takes them, are trained on next to the sets; --mass is the weight of each of
// their classes, where a set of the recipe has about 0.5. --cache keeps vectors, so that a second run embeds nothing.

import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { nameOf } from '../lib/cli/detector-sets.js'
import { leaveOutTable } from '../lib/cli/detector-tables.js'
import { writeArtifact } from '../lib/detection/erosion/artifact-file.js'
import { EROSION_ARTIFACTS } from '../lib/detection/erosion/load-erosion.js'
import { leaveOutPlan, measureScorer } from '../lib/detection/training/leave-out.js'
import { ownSet, VARIANTS, type Variant } from '../lib/detection/training/recipe.js'
import { headScorer } from '../lib/detection/training/scorers.js'
import { Embedder } from '../lib/embedding/embedder.js'
import { allControls } from './scorers.js'
import { bundledSets, trainBundled } from './sets.js'

const { values: flags, positionals: files } = parseArgs({
  options: {
    out: { type: 'string' },
    cache: { type: 'string' },
    variant: { type: 'string' },
    mass: { type: 'string', default: '1' },
    tables: { type: 'boolean', default: true },
  },
  allowNegative: true,
  allowPositionals: true,
})
if (flags.out === undefined) throw new Error('expected --out FOLDER')
const variants = (Object.keys(VARIANTS) as Variant[]).filter((name) => flags.variant === undefined || name === flags.variant)
if (variants.length === 0) throw new Error(`expected --variant ${Object.keys(VARIANTS).join(' | ')}`)

using embedder = await Embedder.load()
const own = files.map((file) => ownSet(nameOf(file), file, { mass: Number(flags.mass), trained: 1 }))
const sets = await bundledSets(embedder, flags.cache ?? null, own)
await mkdir(flags.out, { recursive: true })
for (const variant of variants) {
  const { artifact, crossValidated } = trainBundled(variant, sets)
  const file = join(flags.out, basename(EROSION_ARTIFACTS[variant]))
  await writeArtifact(file, artifact)
  console.log(`${file}: cross-validated AUROC ${crossValidated.map(({ set, auroc }) => `${set} ${auroc.toFixed(3)}`).join(', ')}`)
}
if (flags.tables) {
  const plan = leaveOutPlan(sets, sets.measured)
  const scorers = [...variants.map((variant) => headScorer(variant, VARIANTS[variant], sets)), ...allControls(VARIANTS.default, sets)]
  console.log(`\n${leaveOutTable(scorers.map((scorer) => measureScorer(scorer, plan)))}`)
}
