// The shell of pages and the drawing of charts: escaping, self-containment, colors of both themes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { axis, baseOption, chartFigure, chartSvg, levelLine, type Chart } from '../../lib/report/charts.js'
import { escapeHtml, html, trusted } from '../../lib/report/html.js'
import { renderPage } from '../../lib/report/page.js'
import { color, PALETTES, withColors } from '../../lib/report/palette.js'

const CHART: Chart = {
  title: 'Likelihood',
  caption: 'It rises & rises',
  option: (width) => ({
    ...baseOption(),
    xAxis: axis('exchange', { type: 'category', data: ['1', '2', '3'] }),
    yAxis: axis('', { type: 'value', min: 0, max: 1 }),
    series: [
      {
        type: 'line',
        data: [0.1, 0.5, 0.9],
        name: width,
        lineStyle: { color: color('series1') },
        markLine: { symbol: 'none', silent: true, data: [levelLine(0.7, 'alert line', 'alert')] },
      },
    ],
  }),
}

test('a template escapes its values and leaves markup alone', () => {
  assert.equal(
    html`<p title="${'"x"'}">${'<b>'} ${[1, html`<i>${'&'}</i>`]}${null}${false}</p>`.text,
    '<p title="&quot;x&quot;">&lt;b&gt; 1<i>&amp;</i></p>',
  )
  assert.equal(html`${trusted('<hr>')}`.text, '<hr>')
})

test('no text can leave its place in a page', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // eslint-disable-next-line no-control-regex -- these are what must be gone
      assert.doesNotMatch(escapeHtml(text), /[<>"'\u0000-\u0008\u000b\u000c\u000e-\u001f]/)
    }),
  )
})

test('a page loads nothing and runs only its own script', () => {
  const page = renderPage({ title: 'A </title> of <b>', body: html`<p>${'</style>'}</p>`, script: 'void 0' }).replaceAll('&#39;', "'")
  assert.match(page, /^<!doctype html>/)
  assert.match(page, /default-src 'none'/)
  assert.match(page, /script-src 'sha256-[\w+/]+=*'/)
  assert.match(page, /<title>A &lt;\/title&gt; of &lt;b&gt;<\/title>/)
  assert.doesNotMatch(page, /(?:src|href)=|https?:/)
})

test('a chart is drawn for a desk and for a phone, says what it shows, and names colours as variables', () => {
  const figure = chartFigure(CHART).text
  assert.match(figure, /class="chart wide" role="img" aria-label="Likelihood: It rises &amp; rises"/)
  assert.match(figure, /viewBox="0 0 920 200"/)
  assert.match(figure, /viewBox="0 0 360 200"/)
  assert.match(figure, /stroke="var\(--series1\)"/)
  assert.match(figure, />alert line</)
  assert.doesNotMatch(figure, /<style|pointer-events/)
})

test('identifiers inside drawings do not meet in one page', () => {
  const ids = [...chartFigure(CHART).text.matchAll(/ id="([^"]+)"/g)].map((match) => match[1])
  assert.ok(ids.length >= 2)
  assert.equal(new Set(ids).size, ids.length)
})

test('variables become colours for programs that know none', () => {
  const svg = withColors(chartSvg(CHART, 'wide'), 'dark')
  assert.doesNotMatch(svg, /var\(/)
  assert.ok(svg.includes(PALETTES.dark.series1))
})

test('text stands out from what lies behind it, in light and in dark', () => {
  const luminance = (hex: string): number => {
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    const [red = 0, green = 0, blue = 0] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const contrast = (a: string, b: string): number => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number]
    return (high + 0.05) / (low + 0.05)
  }
  for (const [theme, palette] of Object.entries(PALETTES)) {
    const pairs = [
      ...(['ink', 'soft', 'calm', 'elevated', 'alert', 'series1', 'series2', 'series3', 'accent'] as const).map(
        (name) => [name, 'paper'] as const,
      ),
      ...(['calm', 'elevated', 'alert'] as const).flatMap((level) => [[level, `${level}Tint`] as const, ['ink', `${level}Tint`] as const]),
      ['soft', 'surface'] as const,
    ]
    for (const [front, back] of pairs) {
      assert.ok(
        contrast(palette[front], palette[back]) >= 4.5,
        `${theme}: ${front} on ${back} is ${contrast(palette[front], palette[back]).toFixed(2)}`,
      )
    }
  }
})
