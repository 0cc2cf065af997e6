// Owns the layout of a conversation on a terminal: a row per exchange. Computes nothing, prints nothing.

import Table from 'cli-table3'
import type { Level } from '../detection/detector.js'
import type { Output } from './output.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import { noLines } from './plain-table.js'
import { printable } from './wording.js'

type Colors = Output['colors']
type Paint = (text: string) => string

/** Terminals with fewer columns get a compact layout. */
const MIN_WIDE_COLUMNS = 100

interface Layout {
  widths: number[]
  bar: number
  gap: string
}

function layoutFor(columns: number): Layout {
  const gap = columns >= MIN_WIDE_COLUMNS ? '  ' : ' '
  const bar = columns >= MIN_WIDE_COLUMNS ? 12 : 8
  const fixed = [4, 10, bar + 5, 6, 6, 6]
  const taken = fixed.reduce((sum, width) => sum + width + gap.length, 1)
  return { widths: [...fixed, Math.max(16, columns - taken)], bar, gap }
}

const ALIGNMENT = ['right', 'left', 'left', 'right', 'right', 'right', 'left'] as const
const HEAD = ['#', 'level', 'likelihood', 'drift', 'accel', 'ratio', 'why']
/** With the guard: its strength in place of the ratio, which it does not have. */
const GUARD_HEAD = ['#', 'level', 'likelihood', 'drift', 'press', 'stren', 'why']

/** Lays out the exchanges of conversations for a width and a set of colors. */
export class ExchangeTable {
  readonly #layout: Layout
  readonly #colors: Colors

  constructor(columns: number, colors: Colors) {
    this.#layout = layoutFor(columns)
    this.#colors = colors
  }

  /** Header lines of a conversation; `first` is its first exchange. */
  header(conversation: string, remark: string, first: ExchangeVerdict): string {
    const { bold, dim } = this.#colors
    return `\n${bold(conversation)}${remark === '' ? '' : dim(`  ${remark}`)}\n${dim(this.#row(isRead(first) ? GUARD_HEAD : HEAD))}`
  }

  /** One exchange; several lines if its reasons are long. */
  exchange(line: ExchangeVerdict): string {
    const paint = this.#paint(line)
    const reasons = [...line.reasons.map(inShort), ...(line.truncated ? ['a text was truncated'] : [])].map(printable).join('; ')
    return this.#row([
      paint(String(line.exchange)),
      paint(`${MARKS[line.level]} ${line.level}`),
      `${this.#bar(line.likelihood, paint)} ${paint(fixed(line.likelihood))}`,
      signed(line.drift),
      ...(isRead(line)
        ? [fixed(line.signals?.pressure ?? null), fixed(line.strength ?? null)]
        : [signed(line.acceleration), fixed(line.ratio)]),
      line.alert ? paint(reasons) : reasons,
    ])
  }

  /** The line after an exchange that raises an alert. */
  alert(line: ExchangeVerdict): string {
    const { bold, red, inverse } = this.#colors
    return `     ${inverse(bold(red(' ALERT ')))} ${bold(red(`${printable(line.conversation)}, exchange ${String(line.exchange)}: likelihood ${fixed(line.likelihood)}`))}`
  }

  #paint(line: ExchangeVerdict): Paint {
    const { bold, red, yellow, green } = this.#colors
    if (line.alert || line.level === 'alert') return (text) => bold(red(text))
    return line.level === 'elevated' ? yellow : green
  }

  #bar(likelihood: number, paint: Paint): string {
    const eighths = Math.round(Math.min(1, Math.max(0, likelihood)) * this.#layout.bar * 8)
    const filled = '█'.repeat(eighths >> 3) + (EIGHTHS[eighths & 7] ?? '')
    return paint(filled) + this.#colors.dim('·'.repeat(this.#layout.bar - filled.length))
  }

  #row(cells: readonly string[]): string {
    const { widths, gap } = this.#layout
    const table = new Table({
      colWidths: widths.map((width, index) => (index === 0 ? width : width + gap.length)),
      colAligns: [...ALIGNMENT],
      wordWrap: true,
      chars: noLines(''),
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    })
    table.push([...cells.entries()].map(([index, content]) => ({ content, ...(index > 0 && { style: { 'padding-left': gap.length } }) })))
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n')
  }
}

/** Whether the guard judged it. */
function isRead({ strength }: ExchangeVerdict): boolean {
  return typeof strength === 'number'
}

const MARKS: Readonly<Record<Level, string>> = { calm: '●', elevated: '▲', alert: '■' }
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
function fixed(value: number | null): string {
  return value !== null && Number.isFinite(value) ? value.toFixed(2) : '–'
}

function signed(value: number): string {
  return Number.isFinite(value) ? `${value < -0.005 ? '−' : '+'}${Math.abs(value).toFixed(2)}` : '–'
}

/** A reason without the figures in parentheses at its end, which are in other columns; a quoted rule keeps its own. */
function inShort(reason: string): string {
  return reason.replace(/ \([^()]*\)$/, '')
}
