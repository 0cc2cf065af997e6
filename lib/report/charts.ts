// Owns drawing of charts and their figures in a page: Apache ECharts, as SVG, without a browser. Each is drawn twice, for desktop
// and phone, since a scaled-down drawing is illegible. Knows no detector.

import { drawSvg, type ChartOption } from './echarts.js'
import { html, trusted, type Html } from './html.js'
import { color, type ColorName } from './palette.js'

/** The two widths, in pixels. */
const WIDTHS = { wide: 920, narrow: 360 } as const

/** Width variant of a chart. */
export type ChartWidth = keyof typeof WIDTHS

/** A chart with its texts. */
export interface Chart {
  readonly title: string
  /** Description; also the drawing's ARIA label. */
  readonly caption: string
  /** Pixels; default 200. */
  readonly height?: number
  /** ECharts options for a width, with colors from `color(…)`. */
  readonly option: (width: ChartWidth) => ChartOption
}

/** A chart drawn for one width, as SVG whose colors are CSS variables. */
export function chartSvg({ option, height = 200 }: Chart, width: ChartWidth): string {
  // ECharts' attributes for pointer events are useless in a static drawing, and a third of its bytes.
  return drawSvg(option(width), WIDTHS[width], height)
    .replace(/<style ?>.*?<\/style>/s, '')
    .replaceAll(/ (?:pointer-events="visible"|class="[^"]*"|ecmeta_\w+="[^"]*")/g, '')
}

/** A chart in a page. */
export function chartFigure(chart: Chart): Html {
  const drawing = (width: ChartWidth): Html =>
    html`<div class="chart ${width}" role="img" aria-label="${chart.title}: ${chart.caption}">${trusted(chartSvg(chart, width))}</div>`
  return html`<figure>
    <figcaption>
      <h3>${chart.title}</h3>
      <p class="caption">${chart.caption}</p>
    </figcaption>
    ${drawing('wide')}${drawing('narrow')}
  </figure>`
}

/** Fonts in charts. No quoted names: ECharts does not escape them in attributes. */
const FONT = 'system-ui, sans-serif'

/** Common options: no animation, small margins, the page's font. */
export function baseOption(): ChartOption {
  return {
    animation: false,
    textStyle: { fontFamily: FONT, fontSize: 12 },
    grid: { left: 44, right: 14, top: 14, bottom: 36 },
  }
}

/** An axis in the page's colors; `more` is passed to ECharts. */
export function axis(name: string, more: ChartOption = {}): ChartOption {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 22,
    nameTextStyle: { color: color('soft'), fontFamily: FONT, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: color('rule') } },
    axisTick: { show: false },
    axisLabel: { color: color('soft'), fontFamily: FONT, fontSize: 12, hideOverlap: true },
    splitLine: { lineStyle: { color: color('rule'), type: [2, 4] } },
    ...more,
  }
}

/** A labeled horizontal line at a value. */
export function levelLine(value: number, label: string, tone: ColorName): ChartOption {
  return {
    yAxis: value,
    lineStyle: { color: color(tone), type: 'dashed', width: 1.5 },
    label: { formatter: label, position: 'insideStartTop', color: color(tone), fontFamily: FONT, fontSize: 12, distance: [4, 2] },
  }
}
