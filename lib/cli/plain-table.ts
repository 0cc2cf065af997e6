// Owns tables of measurements: columns without borders.

import Table from 'cli-table3'

/** A table with a header, without lines. */
export function plainTable(head: string[]): InstanceType<typeof Table> {
  const none = ''
  const chars = {
    top: none,
    'top-mid': none,
    'top-left': none,
    'top-right': none,
    bottom: none,
    'bottom-mid': none,
    'bottom-left': none,
    'bottom-right': none,
    left: none,
    'left-mid': none,
    mid: none,
    'mid-mid': none,
    right: none,
    'right-mid': none,
    middle: '  ',
  }
  return new Table({ head, chars, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } })
}
