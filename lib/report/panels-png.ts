// Owns the PNG of a conversation's panels: drawn as SVG as in the page, rasterized by an optional library.

import { chartSvg, type Chart } from './charts.js'
import { escapeHtml } from './html.js'
import { color, withColors } from './palette.js'

/** Converts SVG to PNG; see {@link loadRasterizer}. */
export type Rasterizer = (svg: string) => Uint8Array

/** Without a family, the library would use the system's serif font. */
const FONTS = { loadSystemFonts: true, defaultFontFamily: 'DejaVu Sans', sansSerifFamily: 'DejaVu Sans' }

const WIDTH = 920
const MARGIN = 28
const TITLE_HEIGHT = 44

/** Loads the optional `@resvg/resvg-js`; null if it is not installed. */
export async function loadRasterizer(): Promise<Rasterizer | null> {
  try {
    const { Resvg } = await import('@resvg/resvg-js')
    return (svg) => new Resvg(svg, { fitTo: { mode: 'zoom', value: 2 }, font: FONTS }).render().asPng()
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') return null
    throw error
  }
}

/** Panels stacked in one standalone SVG with light colors. */
export function stackedSvg(title: string, panels: readonly Chart[]): string {
  let y = MARGIN + 26
  const parts = panels.map((panel) => {
    const drawing = chartSvg(panel, 'wide').replace('<svg ', `<svg x="${String(MARGIN)}" y="${String(y + TITLE_HEIGHT)}" `)
    const heading = label(panel.title, y + 18, 15) + label(panel.caption, y + 36, 11, 'soft')
    y += TITLE_HEIGHT + (panel.height ?? 200) + 12
    return heading + drawing
  })
  const width = WIDTH + 2 * MARGIN
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${String(width)}" height="${String(y + MARGIN)}">` +
    `<rect width="100%" height="100%" fill="var(--paper)"/>${label(title, MARGIN + 12, 18)}${parts.join('')}</svg>`
  return withColors(svg, 'light').replaceAll('font-family:system-ui, sans-serif', 'font-family:sans-serif')
}

function label(text: string, y: number, size: number, tone: 'ink' | 'soft' = 'ink'): string {
  const weight = tone === 'ink' ? 'bold' : 'normal'
  return `<text x="${String(MARGIN)}" y="${String(y)}" font-family="sans-serif" font-size="${String(size)}" font-weight="${weight}" fill="${color(tone)}">${escapeHtml(text)}</text>`
}
