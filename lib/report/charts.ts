// Owns how charts are drawn and how they stand in a page: Apache ECharts, as SVG, without a browser. Each is drawn twice, for a desk
// and for a phone, since a drawing that is only shrunk cannot be read there. Knows no detector.

import { drawSvg, type ChartOption } from './echarts.js'
import { html, trusted, type Html } from './html.js'
import { color, type ColorName } from './palette.js'

/** The two widths, in pixels. */
const WIDTHS = { wide: 920, narrow: 360 } as const

/** For which width a chart is drawn. */
export type ChartWidth = keyof typeof WIDTHS

/** A chart with its words. */
export interface Chart {
  readonly title: string
  /** What it says, in a sentence; also read out in place of the drawing. */
  readonly caption: string
  /** Pixels; default 200. */
  readonly height?: number
  /** The drawing for a width, colors as `color(…)` gives them. */
  readonly option: (width: ChartWidth) => ChartOption
}

/** A chart drawn for one width, as SVG whose colors are CSS variables. */
export function chartSvg({ option, height = 200 }: Chart, width: ChartWidth): string {
  // What ECharts adds for pointers is of no use in a still drawing, and is a third of its bytes.
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

/** Fonts in charts. No name with quotes: ECharts puts them into an attribute as they are. */
const FONT = 'system-ui, sans-serif'

/** What all charts share: no motion, small margins, words in the page's font. */
export function baseOption(): ChartOption {
  return {
    animation: false,
    textStyle: { fontFamily: FONT, fontSize: 12 },
    grid: { left: 44, right: 14, top: 14, bottom: 36 },
  }
}

/** A numeric or named axis in the page's colors; `more` goes to ECharts as it is. */
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

/** A line across a chart at a value, with its name. */
export function levelLine(value: number, label: string, tone: ColorName): ChartOption {
  return {
    yAxis: value,
    lineStyle: { color: color(tone), type: 'dashed', width: 1.5 },
    label: { formatter: label, position: 'insideStartTop', color: color(tone), fontFamily: FONT, fontSize: 12, distance: [4, 2] },
  }
}
