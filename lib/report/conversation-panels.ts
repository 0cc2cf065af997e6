// Owns the panels of a conversation: strength, signals and drift of the guard; likelihood, drift, acceleration, cumulative, and ratio or
// composition of the other detectors; the level behind the first of them.
// Knows verdicts and charts, no page.

import type { Level } from '../detection/detector.js'
import { hasFindings } from '../detection/policy/guarded-detector.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import { axis, baseOption, levelLine, type Chart, type ChartWidth } from './charts.js'
import { asErosion, asGuard, type ReportFacts } from './conversation-record.js'
import type { ChartOption } from './echarts.js'
import { color, type ColorName } from './palette.js'

/** The panels, in order. */
export function conversationPanels(exchanges: readonly ExchangeVerdict[], facts: ReportFacts): Chart[] {
  if (exchanges.some((exchange) => asGuard(exchange) !== null)) return readPanels(exchanges, facts)
  const unit = facts.detector === 'erosion' ? ', in units of the usual spread of ordinary conversations' : ''
  const ratios = exchanges.map(({ ratio }) => ratio)
  return [
    likelihoodPanel(exchanges, facts),
    seriesPanel(exchanges, {
      title: 'Drift',
      caption: `Change of each reply from the previous one${unit}. Positive: towards erosion.`,
      values: exchanges.map(({ drift }) => drift),
      kind: 'bar',
    }),
    seriesPanel(exchanges, {
      title: 'Acceleration',
      caption: `Change of the drift${unit}.`,
      values: exchanges.map(({ acceleration }) => acceleration),
      kind: 'bar',
    }),
    seriesPanel(exchanges, {
      title: 'Cumulative',
      caption:
        facts.detector === 'erosion'
          ? 'Excess over the usual level, summed over exchanges with exponential decay.'
          : 'Risk of the replies, summed over exchanges.',
      values: exchanges.map(({ cumulative }) => cumulative),
      kind: 'area',
    }),
    ratios.some((ratio) => ratio !== null)
      ? seriesPanel(exchanges, {
          title: 'Ratio',
          caption:
            "Cumulative risk of the replies over that of the user's messages. Above 1, the replies stray further than the user does.",
          values: ratios,
          kind: 'line',
          line: { value: 1, label: 'fragile above 1', tone: 'elevated' },
        })
      : compositionPanel(exchanges),
  ]
}

/** Panels of the guard, with the guardrail's strength as the curve to look at. */
function readPanels(exchanges: readonly ExchangeVerdict[], facts: ReportFacts): Chart[] {
  const { lines, strengthLine = null } = facts
  const signal = (name: 'wavers' | 'pressure'): (number | null)[] => exchanges.map(({ signals }) => signals?.[name] ?? null)
  return [
    levelPanel(exchanges, {
      title: 'Guardrail strength and level',
      caption: 'How the assistant behaves when it is pressed, from 1 (it holds) to 0 (it has given way).',
      values: exchanges.map(({ strength }) => strength ?? 1),
      lines: strengthLine === null ? [] : [levelLine(strengthLine, 'elevated where it falls below', 'elevated')],
    }),
    seriesPanel(exchanges, {
      title: 'Breaks',
      caption: 'Probability that the reply breaks a rule, or is harmful whatever the rules say.',
      values: exchanges.map(({ likelihood }) => likelihood),
      kind: 'bar',
      line: lines === null ? null : { value: lines.alert, label: 'alert', tone: 'alert' },
    }),
    seriesPanel(exchanges, {
      title: 'Wavers',
      caption: 'Probability that the guardrail breaks or visibly gives way.',
      values: signal('wavers'),
      kind: 'bar',
    }),
    seriesPanel(exchanges, {
      title: 'Pressure',
      caption: "How much the user's message pushes against the rules, from 0 to 1.",
      values: signal('pressure'),
      kind: 'line',
    }),
    seriesPanel(exchanges, {
      title: 'Drift',
      caption: 'Change of the log-odds of a break since the previous exchange.',
      values: exchanges.map(({ drift }) => drift),
      kind: 'bar',
    }),
  ]
}

/** Panels of a deployment's own policies, if there are any: violated policies and role drift. */
export function guardPanels(exchanges: readonly ExchangeVerdict[]): Chart[] {
  const guarded = exchanges.map((exchange) => (hasFindings(exchange) ? exchange : null))
  const names = guarded.flatMap((exchange) => exchange?.policies ?? [])
  const panels = [...new Set(names)].map((name) => {
    const found = guarded.map((exchange) => exchange?.findings.find(({ policy }) => policy === name) ?? null)
    const statement = found.find((finding) => finding !== null)?.statement ?? ''
    const threshold = found.find((finding) => finding !== null)?.threshold ?? 0
    return seriesPanel(exchanges, {
      title: `Policy ${name}`,
      caption: `${statement} Violated above the line.`,
      values: found.map((finding) => finding?.score ?? null),
      kind: 'line',
      line: { value: threshold, label: 'violated', tone: 'alert' },
    })
  })
  const role = guarded.find((exchange) => exchange !== null && exchange.role !== null)?.role ?? null
  if (role === null) return panels
  const drift = seriesPanel(exchanges, {
    title: 'Role drift',
    caption: "Distance of the conversation from the assistant's role and from its beginning, smoothed over exchanges.",
    values: guarded.map((exchange) => exchange?.role?.distance ?? null),
    kind: 'line',
    line: { value: role.threshold, label: 'drifted', tone: 'elevated' },
  })
  return [...panels, drift]
}

const LEVEL_TONES: Readonly<Record<Level, ColorName>> = { calm: 'calm', elevated: 'elevated', alert: 'alert' }

function likelihoodPanel(exchanges: readonly ExchangeVerdict[], { lines }: ReportFacts): Chart {
  return levelPanel(exchanges, {
    title: 'Likelihood and level',
    caption: 'The score of each exchange, from 0 to 1: relative, not a probability of harm.',
    values: exchanges.map(({ likelihood }) => likelihood),
    lines:
      lines === null
        ? []
        : [levelLine(lines.alert, 'alert threshold', 'alert'), levelLine(lines.elevated, 'elevated threshold', 'elevated')],
  })
}

interface LevelParts {
  title: string
  caption: string
  values: readonly number[]
  lines: readonly ChartOption[]
}

/** The large panel: values from 0 to 1 with the level of the conversation behind them. */
function levelPanel(exchanges: readonly ExchangeVerdict[], { title, caption, values, lines }: LevelParts): Chart {
  const first = exchanges.find(({ alert }) => alert)
  const firstAlert = first === undefined ? '' : ` The first alert is at exchange ${String(first.exchange)}.`
  return {
    title,
    caption: `${caption}${firstAlert} Background: the level of the conversation.`,
    height: 260,
    option: (width) => ({
      ...baseOption(),
      // Room for the first alert's label above a point at the top.
      grid: { left: 44, right: 14, top: 32, bottom: 36 },
      xAxis: exchangeAxis(exchanges, width),
      yAxis: axis('', { type: 'value', min: 0, max: 1, interval: 0.25 }),
      series: [
        {
          type: 'line',
          silent: true,
          symbolSize: exchanges.length > 60 ? 4 : 9,
          lineStyle: { color: color('soft'), width: 2 },
          data: exchanges.map(({ exchange, level, alert }, index) => ({
            value: [exchange, values[index] ?? null],
            symbol: SYMBOLS[level],
            symbolSize: alert ? 16 : exchanges.length > 60 ? 4 : 9,
            itemStyle: { color: color(LEVEL_TONES[level]), borderColor: color('paper'), borderWidth: 1 },
            ...(exchange === first?.exchange && {
              label: {
                show: true,
                position: 'top',
                formatter: `exchange ${String(exchange)}`,
                color: color('alert'),
                fontWeight: 'bold',
                fontSize: 13,
                fontFamily: 'system-ui, sans-serif',
              },
            }),
          })),
          markLine: {
            silent: true,
            symbol: 'none',
            data: [...lines],
          },
          markArea: { silent: true, data: levelBands(exchanges) },
        },
      ],
    }),
  }
}

/** Levels differ in shape as well as in color. */
const SYMBOLS: Readonly<Record<Level, string>> = { calm: 'circle', elevated: 'triangle', alert: 'rect' }

/** Runs of exchanges of the same level, as areas. */
function levelBands(exchanges: readonly ExchangeVerdict[]): ChartOption[][] {
  const bands: { level: Level; from: number; to: number }[] = []
  for (const { level, exchange } of exchanges) {
    const last = bands.at(-1)
    if (last?.level === level) last.to = exchange
    else bands.push({ level, from: exchange, to: exchange })
  }
  return bands
    .filter(({ level }) => level !== 'calm')
    .map(({ level, from, to }) => [
      { xAxis: from - 0.5, itemStyle: { color: color(`${LEVEL_TONES[level]}Tint` as ColorName) } },
      { xAxis: to + 0.5 },
    ])
}

interface SeriesParts {
  title: string
  caption: string
  values: readonly (number | null)[]
  kind: 'bar' | 'line' | 'area'
  line?: { readonly value: number; readonly label: string; readonly tone: ColorName } | null
  height?: number
}

/** A small panel with one number per exchange. */
export function seriesPanel(
  exchanges: readonly ExchangeVerdict[],
  { title, caption, values, kind, line = null, height = 150 }: SeriesParts,
): Chart {
  return {
    title,
    caption,
    height,
    option: (width) => ({
      ...baseOption(),
      xAxis: exchangeNames(exchanges, width),
      // The axis includes the line, also if no value reaches it.
      yAxis: axis('', {
        type: 'value',
        splitNumber: 3,
        ...(line !== null && { max: ({ max }: { max: number }) => roundUp(Math.max(max, line.value)) }),
      }),
      series: [
        {
          type: kind === 'bar' ? 'bar' : 'line',
          silent: true,
          barMaxWidth: 26,
          symbol: 'circle',
          symbolSize: 6,
          lineStyle: { color: color('series1'), width: 2 },
          itemStyle: { color: color('series1') },
          ...(kind === 'area' && { areaStyle: { color: color('series1'), opacity: 0.15 } }),
          data: exchanges.map(({ level }, index) => ({
            value: values[index] ?? null,
            itemStyle: { color: color(kind === 'bar' && level !== 'calm' ? LEVEL_TONES[level] : 'series1') },
          })),
          markLine: { silent: true, symbol: 'none', data: line === null ? [] : [levelLine(line.value, line.label, line.tone)] },
        },
      ],
    }),
  }
}

/** The next larger number with one significant digit, as a readable end of an axis. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9)))
  return (Math.floor(value / unit) + 1) * unit
}

/** For detectors without a ratio: the contributions to each exchange's score. */
function compositionPanel(exchanges: readonly ExchangeVerdict[]): Chart {
  const parts = [
    { name: 'reply', tone: 'series1', of: (reply: number, product: number): number => reply + product },
    { name: 'request', tone: 'series2', of: (_reply: number, _product: number, user: number): number => user },
    { name: 'refusal', tone: 'series3', of: (_reply: number, _product: number, _user: number, refusal: number): number => refusal },
  ] as const
  const contributions = exchanges.map((exchange) => asErosion(exchange)?.contributions ?? null)
  return {
    title: 'Reply and request',
    caption: "Contributions to each exchange's score: the reply (blue), the request (violet), phrases of refusal (teal, which lower it).",
    height: 170,
    option: (width) => ({
      ...baseOption(),
      xAxis: exchangeNames(exchanges, width),
      yAxis: axis('', { type: 'value', splitNumber: 3 }),
      series: parts.map(({ name, tone, of }) => ({
        type: 'bar',
        stack: 'score',
        name,
        silent: true,
        barMaxWidth: 26,
        itemStyle: { color: color(tone) },
        data: contributions.map((parts) =>
          parts === null ? null : of(parts.reply, parts.product, parts.user, parts.openingRefusal + parts.refusal),
        ),
      })),
    }),
  }
}

/** Exchanges between labels, so that they do not overlap. */
function labelStep(exchanges: number, width: ChartWidth): number {
  return Math.max(1, Math.ceil(exchanges / (width === 'wide' ? 24 : 10)))
}

/** Exchanges as numbers, so that areas can end between them; positions match {@link exchangeNames}. */
function exchangeAxis(exchanges: readonly ExchangeVerdict[], width: ChartWidth): ChartOption {
  const [first, last] = [exchanges[0]?.exchange ?? 1, exchanges.at(-1)?.exchange ?? 1]
  const step = labelStep(exchanges.length, width)
  return axis('exchange', {
    type: 'value',
    min: first - 0.5,
    max: last + 0.5,
    interval: 0.5,
    splitLine: { show: false },
    axisLabel: {
      ...(axis('') as { axisLabel: object }).axisLabel,
      hideOverlap: false,
      formatter: (value: number) => (Number.isInteger(value) && (value - first) % step === 0 ? String(value) : ''),
    },
  })
}

/** Exchanges as categories, which bars need. */
export function exchangeNames(exchanges: readonly ExchangeVerdict[], width: ChartWidth): ChartOption {
  const step = labelStep(exchanges.length, width)
  return axis('exchange', {
    type: 'category',
    data: exchanges.map(({ exchange }) => String(exchange)),
    splitLine: { show: false },
    axisLabel: { ...(axis('') as { axisLabel: object }).axisLabel, hideOverlap: false, interval: step - 1 },
  })
}
