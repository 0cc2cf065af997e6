// Owns the parts of Apache ECharts that gabion draws with, and nothing else. The build replaces this file in dist by one bundle
// (scripts/bundle.mjs), so that users need not install the library.

import { LineChart, BarChart, ScatterChart } from 'echarts/charts'
import { GridComponent, MarkAreaComponent, MarkLineComponent, MarkPointComponent } from 'echarts/components'
import { init, use, type EChartsCoreOption } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

/** An option object of ECharts. */
export type ChartOption = EChartsCoreOption

use([LineChart, BarChart, ScatterChart, GridComponent, MarkAreaComponent, MarkLineComponent, MarkPointComponent, SVGRenderer])

/** Draws one chart of that many pixels as SVG; needs no browser. */
export function drawSvg(option: ChartOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption(option)
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
