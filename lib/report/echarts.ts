// Owns the import of Apache ECharts' parts. The build replaces this file in dist by a bundle (scripts/bundle.mjs), so that users
// need not install the library.

import { LineChart, BarChart, ScatterChart } from 'echarts/charts'
import { GridComponent, MarkAreaComponent, MarkLineComponent, MarkPointComponent } from 'echarts/components'
import { init, use, type EChartsCoreOption } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

export type ChartOption = EChartsCoreOption

use([LineChart, BarChart, ScatterChart, GridComponent, MarkAreaComponent, MarkLineComponent, MarkPointComponent, SVGRenderer])

/** Draws a chart as SVG, without a browser; sizes in pixels. */
export function drawSvg(option: ChartOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption(option)
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
