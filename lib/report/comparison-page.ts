// Owns the page of a comparison of two embedders: verdict and reasons, latency, agreement of spaces, projected vectors and alerts.
// All numbers come from the comparison; only drawing coordinates are computed here.

import type { ComparedSide, Comparison } from '../migration/comparison.js'
import { axis, baseOption, chartFigure, levelLine, type Chart } from './charts.js'
import type { ChartOption } from './echarts.js'
import { html, type Html } from './html.js'
import { dataTable, renderPage } from './page.js'
import { color } from './palette.js'

/** Disagreements in the table; the JSON contains all. */
const MAX_LISTED = 200

/** A comparison as one self-contained page. */
export function comparisonPage(comparison: Comparison, madeBy: string): string {
  const { verdict, space, points, alerts } = comparison
  return renderPage({
    title: `${comparison.old.name} → ${comparison.new.name}`,
    kicker: 'Comparison of two embedders',
    body: html`<section class="verdict ${verdict.safe ? 'calm' : 'alert'}">
        <p class="lead">${verdict.summary}</p>
        <ul>
          ${verdict.reasons.map((reason) => html`<li>${reason}</li>`)}
        </ul>
      </section>
      <h2>The embedders</h2>
      ${sidesTable(comparison)} ${latencyChart(comparison)}
      ${
        space === null
          ? null
          : html`<h2>Vector spaces</h2>
              ${criteriaNote(comparison)}${chartFigure(cosineChart(space.examples))}`
      }
      ${
        points === null
          ? null
          : html`<h2>Projected vectors</h2>
              ${chartFigure(pointChart(points))}`
      }
      ${
        alerts === null
          ? null
          : html`<h2>Alerts</h2>
              ${alertSection(alerts)}`
      }`,
    foot: html`${madeBy}`,
  })
}

function sidesTable({ old, new: fresh, adapter }: Comparison): Html {
  const ms = (value: number | undefined): string => (value === undefined ? '–' : `${value.toFixed(2)} ms`)
  const row = (label: string, of: (side: ComparedSide) => string): string[] => [label, of(old), of(fresh)]
  return html`${dataTable(
    ['', `old: ${old.name}`, `new: ${fresh.name}`],
    [
      row('dimensions', ({ dimensions }) => String(dimensions)),
      row('one text, median', ({ latency }) => ms(latency?.p50)),
      row('one text, p90', ({ latency }) => ms(latency?.p90)),
      row('one text, p99', ({ latency }) => ms(latency?.p99)),
      row('charged for this comparison', ({ cost }) => (cost === null ? '–' : cost.toPrecision(3))),
    ],
  )}
  ${adapter === null ? null : html`<p>The new vectors were mapped into the old space by the adapter <code>${adapter}</code>.</p>`}`
}

function latencyChart({ old, new: fresh }: Comparison): Html | null {
  const sides = [old, fresh].filter(({ latency }) => latency !== null)
  if (sides.length === 0) return null
  const quantiles = ['p50', 'p90', 'p99'] as const
  return chartFigure({
    title: 'Latency of one text',
    caption: 'Median, p90 and p99 in milliseconds, on a logarithmic scale.',
    height: 60 + 70 * sides.length,
    option: () => ({
      ...baseOption(),
      grid: { left: 8, right: 60, top: 8, bottom: 36, containLabel: true },
      xAxis: axis('milliseconds', { type: 'log', nameGap: 24 }),
      yAxis: axis('', { type: 'category', data: quantiles, inverse: true }),
      series: sides.map(({ name, latency }, index): ChartOption => ({
        type: 'bar',
        name,
        data: quantiles.map((quantile) => latency?.[quantile] ?? 0),
        itemStyle: { color: color(index === 0 ? 'series1' : 'series2') },
        label: { show: true, position: 'right', formatter: `{c} ms`, color: color('soft') },
      })),
    }),
  })
}

function criteriaNote({ verdict }: Comparison): Html {
  const rows = verdict.criteria.map(({ what, value, limit, met, decides }) => [
    what,
    value.toFixed(3),
    limit.toFixed(3),
    html`<span class="badge ${met ? 'calm' : decides ? 'alert' : 'elevated'}">${met ? 'met' : 'below'}</span>`,
  ])
  return dataTable(['', 'measured', 'required', ''], rows)
}

function cosineChart(examples: readonly (readonly [number, number])[]): Chart {
  return scatterChart({
    title: 'Similarity of pairs of texts',
    caption: 'Each dot is a pair of texts: its cosine in the old space and in the new one. On a rising line, both orders agree.',
    height: 360,
    axes: ['cosine, old', 'cosine, new'],
    range: { scale: true },
    dots: [{ data: pairs(examples), symbolSize: 4, itemStyle: { color: color('series1'), opacity: 0.5 } }],
  })
}

function pointChart({ examples, relativeDistance }: NonNullable<Comparison['points']>): Chart {
  const [before, after] = [examples.map(([x, y]) => [x, y] as const), examples.map(([, , x, y]) => [x, y] as const)]
  return scatterChart({
    title: 'Projected vectors',
    caption: `Projected texts by the old embedder and by the new one. Half of the texts moved by less than ${(100 * relativeDistance).toFixed(1)}% of the spread.`,
    height: 360,
    axes: ['first component', 'second component'],
    range: { scale: true },
    dots: [
      { name: 'old', data: pairs(before), symbolSize: 6, itemStyle: { color: color('series1'), opacity: 0.6 } },
      { name: 'new', data: pairs(after), symbolSize: 4, symbol: 'diamond', itemStyle: { color: color('series2'), opacity: 0.8 } },
    ],
  })
}

interface ScatterParts extends Pick<Chart, 'title' | 'caption' | 'height'> {
  readonly axes: readonly [x: string, y: string]
  /** ECharts options of both axes. */
  readonly range: ChartOption
  readonly dots: readonly ChartOption[]
}

function scatterChart({ axes: [x, y], range, dots, ...texts }: ScatterParts): Chart {
  return {
    ...texts,
    option: () => ({
      ...baseOption(),
      xAxis: axis(x, { type: 'value', ...range }),
      yAxis: axis(y, { type: 'value', ...range, nameGap: 30 }),
      series: dots.map((one) => ({ type: 'scatter', ...one })),
    }),
  }
}

/** Four digits are enough for a drawing, and keep the file small. */
function pairs(points: readonly (readonly [number, number])[]): number[][] {
  return points.map((point) => point.map((value) => Number(value.toPrecision(4))))
}

function alertSection(alerts: NonNullable<Comparison['alerts']>): Html {
  const { conversations, exchanges, agreeing, both, onlyOld, onlyNew, disagreements } = alerts
  return html`<p>
      ${exchanges} exchanges of ${conversations} conversations: the same decision on ${agreeing}; ${both} alerts by both, ${onlyOld} only by
      the old one, ${onlyNew} only by the new one.
    </p>
    ${disagreements.length === 0 ? html`<p>They agree on every exchange.</p>` : chartFigure(likelihoodChart(disagreements))}
    ${
      disagreements.length === 0
        ? null
        : dataTable(
            ['conversation', 'exchange', 'old', 'new'],
            disagreements.slice(0, MAX_LISTED).map((item) => [item.conversation, item.exchange, decision(item.old), decision(item.new)]),
          )
    }
    ${disagreements.length > MAX_LISTED ? html`<p class="soft">${disagreements.length - MAX_LISTED} more are in the JSON.</p>` : null}`
}

function decision({ alert, likelihood }: { alert: boolean; likelihood: number }): Html {
  return html`<span class="badge ${alert ? 'alert' : 'calm'}">${alert ? 'alert' : 'no alert'}</span> ${likelihood.toFixed(3)}`
}

function likelihoodChart(disagreements: NonNullable<Comparison['alerts']>['disagreements']): Chart {
  return scatterChart({
    title: 'Exchanges on which they disagree',
    caption: "Each dot is an exchange: the old detector's score and the new one's. Dots near the line y = x are close calls.",
    height: 300,
    axes: ['score, old', 'score, new'],
    range: { min: 0, max: 1 },
    dots: [
      {
        data: pairs(disagreements.slice(0, 1000).map((one) => [one.old.likelihood, one.new.likelihood] as const)),
        symbolSize: 6,
        itemStyle: { color: color('elevated'), opacity: 0.7 },
        markLine: { symbol: 'none', silent: true, data: [levelLine(0.5, '0.5', 'soft')] },
      },
    ],
  })
}
