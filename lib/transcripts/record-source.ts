// Owns which kind of file lines are of, and their records: one JSON document, JSON lines or CSV. Takes lines one by one.

import type { GabionError } from '../errors.js'
import { CsvRows, readHeader } from './csv-rows.js'
import { documentRecords, type SourceName, type SourceRecord } from './document.js'
import { formOf, type Container } from './forms/index.js'
import type { ReadOptions } from './options.js'
import { parseJson, readOrReport, transcriptInvalid } from './problem.js'
import { unknownForm } from './unknown-form.js'

export interface SourceLine {
  readonly text: string
  readonly number: number
}

/** Lines looked at before an input without JSON in them is taken as CSV. */
const MAX_PROBED_LINES = 20

/** The kind of file that a name's extension stands for. */
export function containerOfName(name: string): Container | null {
  const extension = /\.([a-z]+)$/i.exec(name)?.[1]?.toLowerCase()
  switch (extension) {
    case 'jsonl':
    case 'ndjson':
      return 'jsonl'
    case 'csv':
    case 'tsv':
      return 'csv'
    case 'json':
      return 'json'
    default:
      return null
  }
}

/** Reads records from the lines of one file. */
export class RecordSource {
  readonly #source: SourceName
  readonly #options: ReadOptions
  /** What the name says; the lines may say otherwise. */
  readonly #hint: Container | null
  #container: Container | null
  /** Lines that wait for a decision, or for the end of a document. */
  #waiting: SourceLine[] = []
  #rows: CsvRows | null = null
  #header: string | null = null
  /** The header's columns are not known, which was reported. */
  #isUnreadable = false

  constructor(source: SourceName, options: ReadOptions) {
    this.#source = source
    this.#options = options
    this.#hint = containerOfName(source.name)
    this.#container = options.container
  }

  /** Whether records are rows of CSV. */
  get isCsv(): boolean {
    return this.#container === 'csv'
  }

  /** The line with the columns, once it was read. */
  get header(): string | null {
    return this.#header
  }

  /** Whether no record is open: the next line begins one. */
  get isBetween(): boolean {
    return this.#waiting.length === 0 && this.#rows?.isOpen !== true
  }

  /** Takes a line; returns the records that are complete. */
  push(line: SourceLine): SourceRecord[] {
    if (this.#container === 'json') this.#waiting.push(line)
    if (this.#container === 'json' || line.text.trim() === '') return []
    if (this.#container !== null) return this.#record(line)
    this.#waiting.push(line)
    this.#container = containerOf(this.#waiting, this.#hint)
    return this.#container === null || this.#container === 'json' ? [] : this.#release()
  }

  /** The records that are left at the end of the input. */
  end(): SourceRecord[] {
    if (this.#container === null && this.#waiting.length > 0) {
      this.#container = isJson(this.#waiting[0]?.text ?? '') || this.#hint === 'json' ? 'json' : (this.#hint ?? 'csv')
    }
    const records = this.#container === 'json' ? this.#document() : this.#release()
    return [...records, ...this.#rowRecords(this.#rows?.end() ?? [])]
  }

  #release(): SourceRecord[] {
    const lines = this.#waiting
    this.#waiting = []
    return lines.flatMap((line) => this.#record(line))
  }

  #document(): SourceRecord[] {
    const lines = this.#waiting
    this.#waiting = []
    const last = lines.at(-1)
    if (last === undefined) return []
    const text = Array.from({ length: last.number }, () => '')
    for (const line of lines) text[line.number - 1] = line.text
    const { onProblem } = this.#options
    try {
      return documentRecords(text.join('\n'), this.#source, this.#options)
    } catch (error) {
      // A file whose first line is broken may be lines all the same.
      if (this.#options.container === 'json' || lines.length === 1 || !lines.some((line) => isJsonObject(line.text))) {
        readOrReport(onProblem, () => {
          throw error
        })
        return []
      }
      this.#container = 'jsonl'
      return lines.flatMap((line) => this.#record(line))
    }
  }

  #record(line: SourceLine): SourceRecord[] {
    if (line.text.trim() === '') return []
    return this.#container === 'csv' ? this.#row(line) : this.#jsonLine(line)
  }

  #jsonLine({ text, number }: SourceLine): SourceRecord[] {
    const where = `${this.#source.name}: line ${String(number)}`
    const value = readOrReport(this.#options.onProblem, () => parseJson(text, where))
    return value === undefined ? [] : [{ value, where, fallback: `${this.#source.base}:${String(number)}` }]
  }

  #row(line: SourceLine): SourceRecord[] {
    if (this.#rows !== null) return this.#rowRecords(this.#rows.push(line))
    if (this.#isUnreadable) return []
    // Excel's note on the delimiter.
    if (/^sep=.$/i.test(line.text)) return []
    const known = (columns: readonly string[]): boolean => isKnownHeader(columns, this.#options)
    const header = readHeader(line.text, known)
    if (!known(header.columns)) {
      this.#isUnreadable = true
      this.#options.onProblem(unknownHeader(this.#source.name, header.columns, this.#options))
      return []
    }
    this.#header = line.text
    this.#rows = new CsvRows(this.#source.name, header, this.#options.onProblem)
    return []
  }

  #rowRecords(rows: readonly { record: unknown; line: number }[]): SourceRecord[] {
    const { name, base } = this.#source
    return rows.map(({ record, line }) => ({ value: record, where: `${name}: line ${String(line)}`, fallback: `${base}:${String(line)}` }))
  }
}

/** The kind of file by the lines so far; null if more are needed. */
function containerOf(lines: readonly SourceLine[], hint: Container | null): Container | null {
  const [first, second] = lines
  if (first === undefined) return null
  if (!isJson(first.text)) {
    if (hint !== null) return hint
    if (lines.some(({ text }) => isJsonObject(text))) return 'jsonl'
    return lines.length < MAX_PROBED_LINES ? null : 'csv'
  }
  // A line that does not end where it begins is part of a document.
  if (!isParsed(first.text)) return 'json'
  if (hint === 'jsonl') return 'jsonl'
  return second === undefined ? null : 'jsonl'
}

export function isJson(text: string): boolean {
  return /^\s*[[{]/.test(text)
}

function isJsonObject(text: string): boolean {
  return /^\s*\{/.test(text) && isParsed(text)
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether rows with these columns can be read. */
export function isKnownHeader(columns: readonly string[], { form }: ReadOptions): boolean {
  if (form?.name === 'map') return columns.length > 1
  const row = Object.fromEntries(columns.map((column) => [column, 'user']))
  return formOf(row) !== undefined
}

/** The error for a table whose columns are not known. */
export function unknownHeader(name: string, columns: readonly string[], { explained }: ReadOptions): GabionError {
  return transcriptInvalid(name, unknownForm(Object.fromEntries(columns.map((column) => [column, ''])), explained))
}
