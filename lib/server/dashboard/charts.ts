// The page's two charts. Colors are CSS variables, so that light and dark themes need no redraw.

import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent } from 'echarts/components'
import { init, use, type EChartsType } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { color, type ColorName } from '../../report/palette.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'

use([LineChart, GridComponent, LegendComponent, SVGRenderer])

const text = { color: color('soft') }
const axisLine = { lineStyle: { color: color('rule') } }
const splitLine = { lineStyle: { color: color('rule') } }
const grid = { left: 48, right: 48, top: 32, bottom: 28 }

function chartIn(element: HTMLElement): EChartsType {
  const chart = init(element, null, { renderer: 'svg' })
  new ResizeObserver(() => chart.resize()).observe(element)
  return chart
}

/** Likelihood over the exchanges of a conversation, with markers in the color of their level. */
export class ExchangeChart {
  readonly #element: HTMLElement
  readonly #chart: EChartsType

  constructor(element: HTMLElement) {
    this.#element = element
    this.#chart = chartIn(element)
  }

  show(name: string, exchanges: readonly ExchangeVerdict[]): void {
    const last = exchanges.at(-1)
    this.#element.setAttribute(
      'aria-label',
      last === undefined
        ? `${name}: no exchanges`
        : `Likelihood over ${exchanges.length} exchanges of ${name}, now ${last.likelihood.toFixed(2)}, ${last.level}`,
    )
    this.#chart.setOption({
      animation: false,
      grid,
      xAxis: {
        type: 'category',
        data: exchanges.map(({ exchange }) => String(exchange)),
        axisLabel: text,
        axisLine,
        name: 'exchange',
        nameTextStyle: text,
      },
      yAxis: { type: 'value', min: 0, max: 1, axisLabel: text, splitLine, name: 'likelihood', nameTextStyle: text },
      series: [
        {
          type: 'line',
          silent: true,
          lineStyle: { color: color('series1') },
          symbol: 'circle',
          symbolSize: 9,
          data: exchanges.map(({ likelihood, level }) => ({ value: likelihood, itemStyle: { color: color(level satisfies ColorName) } })),
        },
      ],
    })
  }
}

// Two minutes at one sample every two seconds.
const SAMPLES = 60

/** Requests per second and latency over the last two minutes. */
export class LoadChart {
  readonly #chart: EChartsType
  readonly #perSecond: (number | null)[] = Array<null>(SAMPLES).fill(null)
  readonly #p99: (number | null)[] = Array<null>(SAMPLES).fill(null)

  constructor(element: HTMLElement) {
    this.#chart = chartIn(element)
  }

  add(perSecond: number, p99Ms: number | null): void {
    this.#perSecond.push(perSecond)
    this.#p99.push(p99Ms)
    this.#perSecond.shift()
    this.#p99.shift()
    const line = (name: string, data: (number | null)[], of: ColorName, yAxisIndex: number): object => ({
      type: 'line',
      silent: true,
      showSymbol: false,
      symbol: 'circle',
      name,
      data,
      yAxisIndex,
      lineStyle: { color: color(of) },
      itemStyle: { color: color(of) },
    })
    const axis = (name: string): object => ({ type: 'value', min: 0, name, nameTextStyle: text, axisLabel: text, splitLine })
    this.#chart.setOption({
      animation: false,
      // The names of the axes stand above the grid, below the legend.
      grid: { ...grid, top: 52 },
      legend: { textStyle: text, top: 0, selectedMode: false },
      xAxis: { type: 'category', data: this.#perSecond.map((_, i) => `${(i + 1 - SAMPLES) * 2} s`), axisLabel: text, axisLine },
      yAxis: [axis('1/s'), { ...axis('ms'), splitLine: { show: false } }],
      series: [line('requests per second', this.#perSecond, 'series1', 0), line('99 % within (ms)', this.#p99, 'series2', 1)],
    })
  }
}
