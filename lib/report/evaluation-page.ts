// Owns the page on a detector that was measured on labeled conversations: per set a table, ROC, reliability, lead time.
// Knows measurements, not how they were made.

import type { AtThreshold, Evaluation, LeadTime } from '../detection/training/evaluate.js'
import type { ReliabilityBin } from '../statistics/ranking.js'
import { axis, baseOption, chartFigure, levelLine, type Chart } from './charts.js'
import { html, type Html } from './html.js'
import { dataTable, renderPage, valueTable } from './page.js'
import { color } from './palette.js'

/** What was measured, in words. */
export interface EvaluationFacts {
  readonly detector: string
  readonly thresholds: string
  readonly engine: string
}

/** The whole page. */
export function evaluationPage(sets: readonly Evaluation[], facts: EvaluationFacts): string {
  return renderPage({
    title: 'Detector evaluation',
    kicker: facts.detector,
    body: html`
      <p>
        How well the detector tells unsafe from safe on ${sets.length === 1 ? 'a set of' : `${String(sets.length)} sets of`} labeled
        conversations. AUROC is the chance that an unsafe item scores above a safe one: 0.5 is guessing, 1 is perfect. Where a set was
        trained on, its numbers say little.
      </p>
      ${overview(sets)} ${sets.map(setSection)}
    `,
    foot: html`Detector ${facts.detector}; thresholds from ${facts.thresholds}. ${facts.engine}. Intervals: 95 %, bootstrap by group.`,
  })
}

function overview(sets: readonly Evaluation[]): Html {
  return dataTable(
    ['set', 'conversations (unsafe)', 'AUROC of replies', 'of conversations', 'without refusals', 'alert line: recall', 'false alarms'],
    sets.map(({ set, exchanges, conversations, withoutRefusal, shipped }) => [
      html`<a href="#${anchor(set)}">${set}</a>`,
      `${String(conversations.items)} (${String(conversations.unsafe)})`,
      area(exchanges),
      area(conversations),
      three(withoutRefusal),
      percent(shipped.alert.recall),
      percent(shipped.alert.falseAlarms),
    ]),
  )
}

function setSection(evaluation: Evaluation): Html {
  const { set, exchanges, conversations, shipped, own, calibration, leadTime, alertsPer1000, withinGroup } = evaluation
  const rows: [string, string][] = [
    ['replies (unsafe)', `${String(exchanges.items)} (${String(exchanges.unsafe)})`],
    ['AUROC of replies', `${area(exchanges)}, ${interval(exchanges)}`],
    ['AUROC of conversations', `${area(conversations)}, ${interval(conversations)}`],
    ['AUPRC of replies, of conversations', `${three(exchanges.averagePrecision)}, ${three(conversations.averagePrecision)}`],
    ['AUROC among replies of one group', three(withinGroup)],
    ['alert line', outcome(shipped.alert)],
    ['elevated line', outcome(shipped.elevated)],
    [
      `a line for ${percent(shipped.alert.budget)} false alarms on this set`,
      own.alert === null ? 'too few safe conversations' : outcome(own.alert),
    ],
    [
      `a line for ${percent(shipped.elevated.budget)} false alarms on this set`,
      own.elevated === null ? 'too few safe conversations' : outcome(own.elevated),
    ],
    ['alerts per 1,000 safe replies', Number.isNaN(alertsPer1000) ? '–' : alertsPer1000.toFixed(1)],
    ['expected calibration error', three(calibration.error)],
  ]
  return html`<section id="${anchor(set)}">
    <h2>${set}</h2>
    ${valueTable(rows)} ${evaluationCharts(evaluation).map(chartFigure)}
    ${leadTime.conversations === 0 ? null : html`<p>${leadWords(leadTime)}</p>`}
  </section>`
}

/** The plots of one set; a plot whose classes are missing is left out. */
export function evaluationCharts({ exchanges, conversations, calibration, leadTime, shipped }: Evaluation): Chart[] {
  const charts: Chart[] = []
  if (exchanges.roc.length > 0) charts.push(rocChart(exchanges.roc, conversations.roc, shipped.alert))
  if (calibration.bins.some(({ items }) => items > 0)) charts.push(reliabilityChart(calibration.bins))
  if (leadTime.leads.length > 0) charts.push(leadChart(leadTime.leads))
  return charts
}

function rocChart(replies: Evaluation['exchanges']['roc'], conversations: Evaluation['conversations']['roc'], alert: AtThreshold): Chart {
  const line = (points: typeof replies, tone: 'series1' | 'series2'): object => ({
    type: 'line',
    silent: true,
    showSymbol: false,
    lineStyle: { color: color(tone), width: 2 },
    data: points.map(({ falseAlarms, recall }) => [falseAlarms, recall]),
  })
  const atAlert = [alert.falseAlarms, alert.recall]
  return {
    title: 'ROC',
    caption:
      'Share of unsafe items found, by the share of safe ones wrongly marked: replies blue, conversations violet. The further up and left, the better; dotted is guessing. The square is the alert line.',
    height: 300,
    option: () => ({
      ...baseOption(),
      xAxis: axis('false alarms', { type: 'value', min: 0, max: 1 }),
      yAxis: axis('', { type: 'value', min: 0, max: 1 }),
      series: [
        line(replies, 'series1'),
        line(conversations, 'series2'),
        diagonal(),
        {
          type: 'scatter',
          silent: true,
          symbol: 'rect',
          symbolSize: 10,
          itemStyle: { color: color('alert') },
          data: atAlert.some(Number.isNaN) ? [] : [atAlert],
        },
      ],
    }),
  }
}

function reliabilityChart(bins: readonly ReliabilityBin[]): Chart {
  const filled = bins.filter(({ items }) => items > 0)
  const most = Math.max(...filled.map(({ items }) => items))
  return {
    title: 'Reliability',
    caption:
      'Of the replies with a likelihood around the value below, the share that is unsafe. Larger points are more replies; a relative score need not lie on the dotted line.',
    height: 260,
    option: () => ({
      ...baseOption(),
      xAxis: axis('likelihood', { type: 'value', min: 0, max: 1 }),
      yAxis: axis('', { type: 'value', min: 0, max: 1 }),
      series: [
        diagonal(),
        {
          type: 'line',
          silent: true,
          symbol: 'circle',
          lineStyle: { color: color('series1'), width: 2 },
          itemStyle: { color: color('series1') },
          data: filled.map(({ score, unsafe, items }) => ({ value: [score, unsafe], symbolSize: 6 + 14 * Math.sqrt(items / most) })),
        },
      ],
    }),
  }
}

/** Leads beyond this many exchanges share a bar. */
const FARTHEST_LEAD = 6

function leadChart(leads: readonly number[]): Chart {
  const places = Array.from({ length: 2 * FARTHEST_LEAD + 1 }, (_, index) => index - FARTHEST_LEAD)
  const clipped = leads.map((lead) => Math.max(-FARTHEST_LEAD, Math.min(FARTHEST_LEAD, lead)))
  const name = (place: number): string =>
    Math.abs(place) === FARTHEST_LEAD ? `${place < 0 ? '≤ −' : '≥ '}${String(FARTHEST_LEAD)}` : String(place)
  return {
    title: 'Lead time',
    caption:
      'Unsafe conversations by how many exchanges before (right) or after (left) the first unsafe reply the alert came; 0 is the same exchange.',
    height: 200,
    option: () => ({
      ...baseOption(),
      xAxis: axis('exchanges before the first unsafe reply', { type: 'category', data: places.map(name), splitLine: { show: false } }),
      yAxis: axis('', { type: 'value', splitNumber: 3, minInterval: 1 }),
      series: [
        {
          type: 'bar',
          silent: true,
          barMaxWidth: 40,
          data: places.map((place) => ({
            value: clipped.filter((lead) => lead === place).length,
            itemStyle: { color: color(place > 0 ? 'calm' : place === 0 ? 'series1' : 'elevated') },
          })),
          markLine: { silent: true, symbol: 'none', data: [levelLine(0, '', 'soft')] },
        },
      ],
    }),
  }
}

function diagonal(): object {
  return {
    type: 'line',
    silent: true,
    showSymbol: false,
    lineStyle: { color: color('soft'), width: 1, type: 'dotted' },
    data: [
      [0, 0],
      [1, 1],
    ],
  }
}

function leadWords({ conversations, alerted, before, at, after }: LeadTime): string {
  if (alerted === 0) return `None of the ${String(conversations)} unsafe conversations raised an alert.`
  return `${String(alerted)} of ${String(conversations)} unsafe conversations raised an alert: ${percent(before)} of them before the first unsafe reply, ${percent(at)} at it, ${percent(after)} after it.`
}

function area({ auroc }: Evaluation['exchanges']): string {
  return three(auroc)
}

function interval({ interval: [low, high] }: Evaluation['exchanges']): string {
  return `${three(low)} to ${three(high)}`
}

function outcome({ falseAlarms, recall }: AtThreshold): string {
  return `finds ${percent(recall)} of unsafe conversations, marks ${percent(falseAlarms)} of safe ones`
}

function anchor(set: string): string {
  return `set-${set.replaceAll(/[^\w-]+/g, '-')}`
}

function three(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(3)
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(100 * share).toFixed(1)} %`
}
