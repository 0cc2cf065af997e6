// The page of `gabion detector evaluate`, from a measurement made by hand.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Evaluation, Separation } from '../../lib/detection/training/evaluate.js'
import { chartSvg } from '../../lib/report/charts.js'
import { evaluationCharts, evaluationPage } from '../../lib/report/evaluation-page.js'

const separation: Separation = {
  items: 40,
  unsafe: 10,
  auroc: 0.912,
  interval: [0.85, 0.96],
  averagePrecision: 0.7,
  roc: [
    { threshold: 2, falseAlarms: 0, recall: 0.4 },
    { threshold: 1, falseAlarms: 0.2, recall: 0.9 },
    { threshold: 0, falseAlarms: 1, recall: 1 },
  ],
}
const at = (budget: number, falseAlarms: number, recall: number): Evaluation['shipped']['alert'] => ({
  budget,
  threshold: 1,
  falseAlarms,
  recall,
})
const MEASURED: Evaluation = {
  set: 'talks <1>',
  exchanges: separation,
  conversations: { ...separation, auroc: 0.934 },
  withinGroup: null,
  withoutRefusal: 0.75,
  shipped: { alert: at(0.01, 0.033, 0.4), elevated: at(0.05, 0.1, 0.6) },
  own: { alert: null, elevated: at(0.05, 0.05, 0.5) },
  alertsPer1000: 12.34,
  leadTime: { conversations: 10, alerted: 4, before: 0.25, at: 0.5, after: 0.25, median: 0, leads: [-9, 0, 0, 2] },
  calibration: {
    error: 0.12,
    bins: [
      { items: 30, score: 0.1, unsafe: 0.05 },
      { items: 0, score: NaN, unsafe: NaN },
      { items: 10, score: 0.8, unsafe: 0.7 },
    ],
  },
}
const SAFE_ONLY: Evaluation = {
  ...MEASURED,
  set: 'safe only',
  exchanges: { ...separation, unsafe: 0, auroc: NaN, interval: [NaN, NaN], roc: [] },
  leadTime: { ...MEASURED.leadTime, conversations: 0, alerted: 0, leads: [] },
}
const FACTS = { detector: 'default', thresholds: 'somewhere', engine: 'a model' }

test('the page has each set with its table, intervals and plots, and no name as markup', () => {
  const page = evaluationPage([MEASURED, SAFE_ONLY], FACTS)
  assert.match(page, /talks &lt;1&gt;/)
  assert.doesNotMatch(page, /talks <1>/)
  for (const words of [
    '0.912, 0.850 to 0.960',
    '0.934',
    'finds 40.0 % of unsafe conversations, marks 3.3 % of safe ones',
    'too few safe conversations',
    '12.3',
    '4 of 10 unsafe conversations raised an alert: 25.0 % of them before',
  ])
    assert.ok(page.includes(words), words)
  assert.doesNotMatch(page, /NaN/)
})

test('ROC, reliability and lead time are drawn, and left out where a class is missing', () => {
  assert.deepEqual(
    evaluationCharts(MEASURED).map(({ title }) => title),
    ['ROC', 'Reliability', 'Lead time'],
  )
  assert.deepEqual(
    evaluationCharts(SAFE_ONLY).map(({ title }) => title),
    ['Reliability'],
  )
  for (const chart of evaluationCharts(MEASURED)) {
    const svg = chartSvg(chart, 'narrow')
    assert.match(svg, /var\(--series1\)/)
    assert.doesNotMatch(svg, /NaN|undefined/)
  }
  const [, , lead] = evaluationCharts(MEASURED)
  assert.ok(lead !== undefined && chartSvg(lead, 'wide').includes('≤ −6'))
})
