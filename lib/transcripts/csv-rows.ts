// Owns rows of CSV that arrive line by line: the delimiter, the header, quoted fields over several lines. Knows no form.

import type * as Csv from 'csv-parse/sync'
import { lazily } from '../lazy.js'
import { transcriptInvalid, type Entry, type OnProblem } from './problem.js'

const csv = lazily<typeof Csv>('csv-parse/sync')

const DELIMITERS = [',', ';', '\t', '|'] as const

/** Lines of a quoted field; one with more was not closed. */
const MAX_FIELD_LINES = 1_000

interface CsvLine {
  readonly text: string
  readonly number: number
}

/** A row by the names of its columns, and the line that it ends at. */
export interface CsvRow {
  readonly record: Entry
  readonly line: number
}

/** Normalizes column names, since spreadsheets vary case and blanks. */
export function columnNames(header: readonly string[]): string[] {
  return header.map(columnName)
}

export function columnName(column: string): string {
  return column.trim().toLowerCase().replaceAll(/\s+/g, '_')
}

/** The delimiter and the columns of a header: those that `isKnown` accepts, else with the most columns. */
export function readHeader(line: string, isKnown: (columns: readonly string[]) => boolean): { delimiter: string; columns: string[] } {
  const candidates = DELIMITERS.map((delimiter) => ({ delimiter, columns: columnsIn(line, delimiter) }))
  const most = candidates.reduce((best, one) => (one.columns.length > best.columns.length ? one : best))
  return candidates.find(({ columns }) => isKnown(columns)) ?? most
}

function columnsIn(line: string, delimiter: string): string[] {
  try {
    return columnNames(fieldsOf(line, delimiter) ?? [])
  } catch {
    return []
  }
}

/**
 * The fields of a row, or null while a quoted field is open. Quotes inside of an unquoted field are taken as they are.
 *
 * @throws Error of csv-parse
 */
function fieldsOf(text: string, delimiter: string): string[] | null {
  const options = { delimiter, relax_column_count: true }
  try {
    return csv().parse(text, options)[0] ?? []
  } catch (cause) {
    const { code } = cause as { code?: string }
    if (code === 'CSV_QUOTE_NOT_CLOSED') return null
    if (code !== 'INVALID_OPENING_QUOTE') throw cause
    return csv().parse(text, { ...options, relax_quotes: true })[0] ?? []
  }
}

/** Rows below a header. */
export class CsvRows {
  readonly #name: string
  readonly #delimiter: string
  readonly #columns: readonly string[]
  readonly #onProblem: OnProblem
  /** Lines of a row whose quoted field is open. */
  #open: CsvLine[] = []

  constructor(name: string, header: { delimiter: string; columns: readonly string[] }, onProblem: OnProblem) {
    this.#name = name
    this.#delimiter = header.delimiter
    this.#columns = header.columns
    this.#onProblem = onProblem
  }

  /** Whether a row's quoted field is open. */
  get isOpen(): boolean {
    return this.#open.length > 0
  }

  /** Takes a line; returns the rows that it completes. */
  push(line: CsvLine): CsvRow[] {
    this.#open.push(line)
    if (this.#open.length > MAX_FIELD_LINES) return this.#giveUp('a quote is not closed')
    // Only a line with a quote can close a field.
    if (this.#open.length > 1 && !line.text.includes('"')) return []
    let fields: string[] | null
    try {
      fields = fieldsOf(this.#openText(), this.#delimiter)
    } catch (cause) {
      return this.#giveUp((cause as Error).message, cause)
    }
    if (fields === null) return []
    this.#open = []
    if (fields.length === this.#columns.length) return [{ record: this.#recordOf(fields), line: line.number }]
    this.#report(line.number, `the header has ${String(this.#columns.length)} columns, this row ${String(fields.length)}`)
    return []
  }

  /** The rows that are left at the end of the input. */
  end(): CsvRow[] {
    const rows: CsvRow[] = []
    while (this.#open.length > 0) rows.push(...this.#giveUp('a quote is not closed'))
    return rows
  }

  #recordOf(fields: readonly string[]): Entry {
    return Object.fromEntries(this.#columns.map((column, index) => [column, fields[index]]))
  }

  /** The open row; blank lines of its quoted field were skipped and are restored. */
  #openText(): string {
    const parts = this.#open.map(({ text, number }, index) => {
      const before = this.#open[index - 1]
      return before === undefined ? text : '\n'.repeat(number - before.number) + text
    })
    return parts.join('')
  }

  /** Reports the open row's first line, and reads those after it again. */
  #giveUp(problem: string, cause?: unknown): CsvRow[] {
    const [first, ...rest] = this.#open
    this.#open = []
    this.#report(first?.number ?? 0, problem, cause)
    return rest.flatMap((line) => this.push(line))
  }

  #report(line: number, problem: string, cause?: unknown): void {
    this.#onProblem(transcriptInvalid(`${this.#name}: line ${String(line)}`, `it is not CSV: ${problem}`, cause))
  }
}
