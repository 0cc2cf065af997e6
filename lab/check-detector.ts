// Checks everything that can be claimed of the shipped detectors, from the sets to the bytes; some minutes, most of them embedding.
//
//   node --import tsx lab/check-detector.ts [FOLDER FOR VECTORS]
//
// Trains every variant and compares the bytes with the shipped files (where the encoder's arithmetic is another one, as on other processors:
// with a second training, and the logits with the shipped files'); compares the leave-one-set-out table with the targets; trains on shuffled labels. Ends with 1
// when something is off.

import { readFile } from 'node:fs/promises'
import { formatArtifact, parseArtifact } from '../lib/detection/erosion/artifact.js'
import { EROSION_ARTIFACTS } from '../lib/detection/erosion/load-erosion.js'
import { rowWeights, type EmbeddedExchange } from '../lib/detection/training/exchanges.js'
import { leaveOutPlan, measureScorer, type LeaveOutPlan } from '../lib/detection/training/leave-out.js'
import { auroc } from '../lib/statistics/ranking.js'
import { VARIANTS, type Variant } from '../lib/detection/training/recipe.js'
import { headScorer } from '../lib/detection/training/scorers.js'
import { dealLabels } from './scorers.js'
import { bundledSets, trainBundled } from './sets.js'
import { fitHead, logitsAtRunTime } from '../lib/detection/training/train-head.js'
import { Embedder } from '../lib/embedding/embedder.js'

/** AUROC on each set that training did not see, as first published, and how far a figure may be off. */
const TARGETS: Readonly<Partial<Record<Variant, Readonly<Record<string, number>>>>> = {
  reference: { jailbreakbench: 0.925, xstest: 0.931, 'diasafety-test': 0.67, 'hh-rlhf-harmless': 0.576 },
  referenceNoUser: { jailbreakbench: 0.918, xstest: 0.91, 'diasafety-test': 0.65, 'hh-rlhf-harmless': 0.576 },
}
const TOLERANCE = 0.015
const SHUFFLES = 10
const SHUFFLE_TOLERANCE = 0.03
/** Logits of another arithmetic (other processors) may differ by this from those of the shipped file. */
const OTHER_ARITHMETIC = 0.1

let faults = 0
function check(fine: boolean, line: string): void {
  if (!fine) faults++
  console.log(`${fine ? 'ok  ' : 'OFF '} ${line}`)
}

const began = performance.now()
const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(0)} s`
using embedder = await Embedder.load()
const sets = await bundledSets(embedder, process.argv[2] ?? null)
console.log(`vectors ready after ${seconds()}`)

const variants = Object.keys(VARIANTS) as Variant[]
const first = new Map(variants.map((variant) => [variant, formatArtifact(trainBundled(variant, sets).artifact)]))
console.log(`all variants trained after ${seconds()}`)
for (const [variant, text] of first) {
  const shipped = await readFile(EROSION_ARTIFACTS[variant], 'utf8')
  // The shipped file is an earlier run's; where it was made with another arithmetic, a second run takes its place.
  if (parseArtifact(shipped, variant).recipe.numericsFingerprint === sets.numericsFingerprint) {
    check(shipped === text, `${variant}: the bytes of the shipped file`)
    continue
  }
  check(formatArtifact(trainBundled(variant, sets).artifact) === text, `${variant}: the same bytes in a second training`)
  const logits = [shipped, text].map((each) => logitsAtRunTime(parseArtifact(each, variant).head, sets.heldOut))
  const most = Math.max(...logits[0]!.map((logit, row) => Math.abs(logit - logits[1]![row]!)))
  check(most < OTHER_ARITHMETIC, `${variant}: within ${most.toFixed(3)} of the shipped file's logits, which another arithmetic made`)
}

const plan: LeaveOutPlan = leaveOutPlan(sets, sets.measured)
for (const [variant, targets] of Object.entries(TARGETS) as [Variant, Record<string, number>][]) {
  const { sets: measured } = measureScorer(headScorer(variant, VARIANTS[variant], { dimensions: sets.dimensions }), {
    ...plan,
    bootstrapDraws: 1,
  })
  for (const { set, auroc: area } of measured) {
    const target = targets[set]
    if (target === undefined) continue
    check(Math.abs(area - target) <= TOLERANCE, `${variant}, ${set}: ${area.toFixed(3)}, wanted ${target.toFixed(3)} ± ${TOLERANCE}`)
  }
}

const areas: number[] = []
for (let seed = 1; seed <= SHUFFLES; seed++) areas.push(shuffledArea(seed))
const mean = areas.reduce((sum, area) => sum + area, 0) / areas.length
check(
  Math.abs(mean - 0.5) <= SHUFFLE_TOLERANCE,
  `shuffled labels: ${mean.toFixed(3)} on average over ${SHUFFLES} shuffles and ${Object.keys(plan.measured).length + plan.leaveOut.length} sets, wanted 0.5 ± ${SHUFFLE_TOLERANCE}`,
)
console.log(`${faults === 0 ? 'all fine' : `${faults} off`} after ${seconds()}`)
process.exitCode = faults === 0 ? 0 : 1

/** Mean AUROC over the sets of a head that was trained on labels dealt out anew. */
function shuffledArea(seed: number): number {
  const { training, masses, dimensions } = sets
  const dealt = dealLabels(training, rowWeights(training, masses), seed)
  const { head } = fitHead(dealt.exchanges, dealt.weights, { recipe: VARIANTS.reference, dimensions })
  // Training sets are included, since shuffled training used none of their true labels.
  const tested: Record<string, readonly EmbeddedExchange[]> = { ...plan.measured }
  for (const set of plan.leaveOut) tested[set] = training.filter((exchange) => exchange.set === set)
  const found = Object.values(tested).map((rows) =>
    auroc({ scores: logitsAtRunTime(head, rows), labels: rows.map(({ label }) => (label === 'unsafe' ? 1 : 0)) }),
  )
  return found.reduce((sum, area) => sum + area, 0) / found.length
}
