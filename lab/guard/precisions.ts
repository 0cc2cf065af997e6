// How far a guard's logits in bf16 and int8 are from those in fp32, on the exchanges of the conversations that fold 1 leaves out: one of every so many.
//
// usage: node --import tsx lab/guard/precisions.ts [FOLDER]

import { SegmentClassifier, type SegmentInput } from '../../lib/classifier/segment-classifier.js'
import { quantile } from '../../lib/statistics/quantile.js'
import { deploymentsOf, LEFT_OUT } from './written.js'

const EVERY = 6
const RULES = 5

const folder = process.argv[2] ?? 'models/guard'
const inputs: SegmentInput[] = []
let counted = 0
for (const { rules, conversations } of await deploymentsOf(LEFT_OUT)) {
  for (const { exchanges } of conversations) {
    for (const [at, { user, assistant }] of exchanges.entries()) {
      if (counted++ % EVERY !== 0) continue
      const history = exchanges.slice(0, at).flatMap((before) => ['user:', before.user, 'assistant:', before.assistant])
      inputs.push({ segments: [rules.slice(0, RULES).map(({ text }) => text), history, [user], [assistant]] })
    }
  }
}
const logitsIn = async (precision: 'fp32' | 'bf16' | 'int8'): Promise<Float32Array> => {
  using classifier = await SegmentClassifier.load({ folder, precision })
  return (await classifier.score(inputs)).logits
}
const exact = await logitsIn('fp32')
for (const precision of ['bf16', 'int8'] as const) {
  const differences = (await logitsIn(precision)).map((logit, at) => Math.abs(logit - exact[at]!)).sort()
  const of = (share: number): string => quantile([...differences], share).toFixed(3)
  console.log(
    `${precision}: ${String(inputs.length)} exchanges, ${String(exact.length)} logits; off by ${of(0.5)} at the median, ${of(0.99)} for 99 %, ${of(1)} at most`,
  )
}
