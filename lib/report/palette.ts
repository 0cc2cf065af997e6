// Owns the colors of pages and charts, in light and in dark. Charts name colors as CSS variables, so that one drawing serves both.

/** Names of colors, and what they are for. */
interface Palette {
  /** Page, raised surfaces, lines between things. */
  paper: string
  surface: string
  rule: string
  /** Text, and text that steps back. */
  ink: string
  soft: string
  /** The three levels of worry; `…Tint` lies behind text. */
  calm: string
  calmTint: string
  elevated: string
  elevatedTint: string
  alert: string
  alertTint: string
  /** Series that stand for no level. */
  series1: string
  series2: string
  series3: string
  /** Links and focus. */
  accent: string
}

/** Name of a color. */
export type ColorName = keyof Palette

/** The two sets; text reaches a contrast of 4.5 to 1 on paper and on tints in both. */
export const PALETTES: Readonly<Record<'light' | 'dark', Palette>> = {
  light: {
    paper: '#ffffff',
    surface: '#f5f6f8',
    rule: '#d9dde3',
    ink: '#1b1f24',
    soft: '#5a6472',
    calm: '#146c40',
    calmTint: '#e3f4ea',
    elevated: '#855600',
    elevatedTint: '#fdf0d3',
    alert: '#b8232a',
    alertTint: '#fde5e4',
    series1: '#2c62c9',
    series2: '#8a4fc0',
    series3: '#0f7f8c',
    accent: '#1f56b8',
  },
  dark: {
    paper: '#14171b',
    surface: '#1d2127',
    rule: '#353c45',
    ink: '#e8ebef',
    soft: '#a3adba',
    calm: '#4cc286',
    calmTint: '#16301f',
    elevated: '#e5ac3f',
    elevatedTint: '#372a10',
    alert: '#ff7a73',
    alertTint: '#401c1c',
    series1: '#7ba8ff',
    series2: '#c398f2',
    series3: '#4cc3d0',
    accent: '#8db4ff',
  },
}

/** A color as a page and its charts name it. */
export function color(name: ColorName): string {
  return `var(--${name})`
}

/** The variables of one set as CSS declarations. */
export function declarations(theme: keyof typeof PALETTES): string {
  return Object.entries(PALETTES[theme])
    .map(([name, value]: [string, string]) => `--${name}:${value};`)
    .join('')
}

/** Puts real colors in the place of the variables, for programs that know no CSS variables. */
export function withColors(markup: string, theme: keyof typeof PALETTES): string {
  return markup.replaceAll(/var\(--(\w+)\)/g, (whole, name: string) => {
    const palette: Readonly<Record<string, string>> = { ...PALETTES[theme] }
    return palette[name] ?? whole
  })
}
