// Owns tables of measurements: columns without borders.

import Table from 'cli-table3'

const LINES = ['top', 'bottom', 'left', 'mid', 'right'].flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])

/** The characters of a table without lines. */
export function noLines(middle: string): Record<string, string> {
  return { ...Object.fromEntries(LINES.map((name) => [name, ''])), middle }
}

/** A table with a header, without lines. */
export function plainTable(head: string[]): InstanceType<typeof Table> {
  return new Table({ head, chars: noLines('  '), style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } })
}
