// Owns the files of `monitor --out`: exchanges.csv and exchanges.json, written exchange by exchange and renamed at the end.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../errors.js'
import type { ConversationSummary } from '../monitor/watch.js'
import { PendingFile } from '../files/pending-file.js'
import { VERDICT_COLUMNS, verdictRow, type ExchangeVerdict, type VerdictValue } from '../detection/verdict.js'

/** Writes both files in constant memory. */
export class ExchangeFiles {
  readonly #csv: PendingFile
  readonly #json: PendingFile
  #exchanges = 0

  private constructor(csv: PendingFile, json: PendingFile) {
    this.#csv = csv
    this.#json = json
  }

  /** Creates the folder if needed, and both files in it. */
  static async create(folder: string): Promise<ExchangeFiles> {
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw new GabionError('INVALID_ARGUMENT', `cannot create the folder ${folder}: ${(cause as Error).message}`, { cause })
    })
    const csv = await PendingFile.create(join(folder, 'exchanges.csv'))
    const json = await PendingFile.create(join(folder, 'exchanges.json'))
    await csv.append(`${CSV_HEADER}\r\n`)
    await json.append('{"exchanges":[')
    return new ExchangeFiles(csv, json)
  }

  async append(line: ExchangeVerdict): Promise<void> {
    await this.#csv.append(`${toCsv(line)}\r\n`)
    await this.#json.append(`${this.#exchanges++ === 0 ? '' : ','}\n${JSON.stringify(line)}`)
  }

  /** Writes the summaries and renames both files to their final names. */
  async complete(summaries: readonly ConversationSummary[]): Promise<void> {
    await this.#json.append(`\n],"summaries":${JSON.stringify(summaries, null, 1)}}\n`)
    await this.#csv.complete()
    await this.#json.complete()
  }

  /** Removes incomplete files; a no-op after {@link complete}. */
  async discard(): Promise<void> {
    await this.#csv.discard()
    await this.#json.discard()
  }
}

/** Header line of the CSV file (RFC 4180); the schema defines the columns. */
export const CSV_HEADER = VERDICT_COLUMNS.join(',')

/** A verdict as one line: lists joined by "; ", absent values empty. */
export function toCsv(verdict: ExchangeVerdict): string {
  return verdictRow(verdict).map(csvCell).join(',')
}

function csvCell(value: VerdictValue): string {
  const text = value === null || value === undefined ? '' : Array.isArray(value) ? value.join('; ') : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
