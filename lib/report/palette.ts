// Owns the colors of pages and charts for light and dark themes. Charts use CSS variables, so that one drawing serves both.

/** Colors by purpose. */
interface Palette {
  /** Page, raised surfaces, separators. */
  paper: string
  surface: string
  rule: string
  /** Text, secondary text. */
  ink: string
  soft: string
  /** The three levels; `…Tint` is a background. */
  calm: string
  calmTint: string
  elevated: string
  elevatedTint: string
  alert: string
  alertTint: string
  /** Series without a level. */
  series1: string
  series2: string
  series3: string
  /** Links and focus. */
  accent: string
}

/** Name of a color. */
export type ColorName = keyof Palette

/** The themes; text has a contrast of at least 4.5:1 on paper and tints in both. */
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

/** A color as a CSS variable. */
export function color(name: ColorName): string {
  return `var(--${name})`
}

/** The variables of a theme as CSS declarations. */
export function declarations(theme: keyof typeof PALETTES): string {
  return Object.entries(PALETTES[theme])
    .map(([name, value]: [string, string]) => `--${name}:${value};`)
    .join('')
}

/** Replaces the variables by their values, for renderers without CSS variables. */
export function withColors(markup: string, theme: keyof typeof PALETTES): string {
  return markup.replaceAll(/var\(--(\w+)\)/g, (whole, name: string) => {
    const palette: Readonly<Record<string, string>> = { ...PALETTES[theme] }
    return palette[name] ?? whole
  })
}
