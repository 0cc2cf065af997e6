// Owns the files of `monitor --out`: turns.csv and turns.json, written as turns come and named when all is done.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../errors.js'
import type { ConversationSummary } from '../monitor/watch.js'
import { PendingFile } from '../files/pending-file.js'
import { CSV_HEADER, toCsv, type TurnLine } from './turn-line.js'

/** Both files at once; memory does not grow with the number of turns. */
export class TurnFiles {
  readonly #csv: PendingFile
  readonly #json: PendingFile
  #turns = 0

  private constructor(csv: PendingFile, json: PendingFile) {
    this.#csv = csv
    this.#json = json
  }

  /** Makes the folder if it is missing, and begins both files in it. */
  static async create(folder: string): Promise<TurnFiles> {
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw new GabionError('INVALID_ARGUMENT', `cannot make the folder ${folder}: ${(cause as Error).message}`, { cause })
    })
    const csv = await PendingFile.create(join(folder, 'turns.csv'))
    const json = await PendingFile.create(join(folder, 'turns.json'))
    await csv.append(`${CSV_HEADER}\r\n`)
    await json.append('{"turns":[')
    return new TurnFiles(csv, json)
  }

  /** Adds a turn. */
  async append(line: TurnLine): Promise<void> {
    await this.#csv.append(`${toCsv(line)}\r\n`)
    await this.#json.append(`${this.#turns++ === 0 ? '' : ','}\n${JSON.stringify(line)}`)
  }

  /** Adds the summaries and gives both files their names. */
  async complete(summaries: readonly ConversationSummary[]): Promise<void> {
    await this.#json.append(`\n],"summaries":${JSON.stringify(summaries, null, 1)}}\n`)
    await this.#csv.complete()
    await this.#json.complete()
  }

  /** Leaves nothing behind; harmless after {@link complete}. */
  async discard(): Promise<void> {
    await this.#csv.discard()
    await this.#json.discard()
  }
}
