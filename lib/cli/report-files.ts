// Owns the files of `monitor --report` and the pictures of `--out`: which conversations are kept for them, and where each goes.
// What stands in them is lib/report's.

import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { GabionError } from '../errors.js'
import type { ConversationSummary } from '../monitor/watch.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import {
  bySeverity,
  keyExchange,
  worstLevel,
  type ConversationRecord,
  type ExchangeTexts,
  type ReportFacts,
} from '../report/conversation-record.js'
import { PendingFile, writeWhole } from '../files/pending-file.js'

/** Conversations with pages, and with pictures: the worst ones, since a run may have a hundred thousand and each takes time. */
const MAX_PAGES = 100
const MAX_PICTURES = 20
/** Rows of the overview. */
const MAX_ROWS = 1000

/** Where reports go; at least one of both. */
export interface ReportPlaces {
  /** An HTML file. */
  readonly page: string | null
  /** A folder for pictures. */
  readonly pictures: string | null
  /** Whether the words of the conversations shall be shown. */
  readonly withText: boolean
}

/** What was written, for a note. */
export interface WrittenReports {
  readonly pages: number
  readonly pictures: number
  /** Pictures were asked for and the library for them is not installed. */
  readonly noRasterizer: boolean
}

/** How the writing gets on. */
export type ReportProgress = (step: { readonly doing: string; readonly done: number; readonly total: number }) => void

/** Collects what reports need while a run goes on. Holds the worst conversations only, so memory does not grow with the run. */
export class ReportFiles {
  readonly #places: ReportPlaces
  readonly #page: PendingFile | null
  readonly #open = new Map<string, { exchanges: ExchangeVerdict[]; texts: ExchangeTexts[] }>()
  #kept: ConversationRecord[] = []
  #counts = { conversations: 0, exchanges: 0, alerting: 0 }

  private constructor(places: ReportPlaces, page: PendingFile | null) {
    this.#places = places
    this.#page = page
  }

  /**
   * Makes the page's folder and begins the page, so that a place that cannot be written to is known before the work.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a report that is not named as a page, or cannot be written
   */
  static async create(places: ReportPlaces): Promise<ReportFiles> {
    const { page } = places
    if (page === null) return new ReportFiles(places, null)
    if (!['.html', '.htm'].includes(extname(page).toLowerCase())) {
      throw new GabionError('INVALID_ARGUMENT', `--report must be the name of an .html file, got ${page}`)
    }
    await makeFolder(dirname(page))
    return new ReportFiles(places, await PendingFile.create(page))
  }

  /** Leaves nothing half-written behind; harmless after {@link write}. */
  async discard(): Promise<void> {
    await this.#page?.discard()
  }

  /** The words of a conversation's next exchange, in the order of its exchanges. */
  read(conversation: string, texts: ExchangeTexts): void {
    if (this.#places.withText) this.#of(conversation).texts.push(texts)
  }

  /** An exchange was judged. */
  add(verdict: ExchangeVerdict): void {
    this.#of(verdict.conversation).exchanges.push(verdict)
  }

  /** A conversation has ended. */
  end(summary: ConversationSummary): void {
    const { exchanges, texts } = this.#of(summary.conversation)
    this.#open.delete(summary.conversation)
    this.#counts.conversations++
    this.#counts.exchanges += summary.exchanges
    this.#counts.alerting += summary.alerts > 0 ? 1 : 0
    this.#kept.push({ summary, exchanges, texts: this.#places.withText ? texts : null })
    if (this.#kept.length > 2 * MAX_ROWS) this.#forgetCalmest()
  }

  /** Writes everything. */
  async write(facts: ReportFacts, onProgress: ReportProgress = () => undefined): Promise<WrittenReports> {
    this.#forgetCalmest()
    const pages = this.#places.page === null ? 0 : await this.#writePages(this.#places.page, facts, onProgress)
    await this.#page?.complete()
    const { pictures, noRasterizer } = await this.#writePictures(facts, onProgress)
    return { pages, pictures, noRasterizer }
  }

  #of(conversation: string): { exchanges: ExchangeVerdict[]; texts: ExchangeTexts[] } {
    const found = this.#open.get(conversation) ?? { exchanges: [], texts: [] }
    this.#open.set(conversation, found)
    return found
  }

  #forgetCalmest(): void {
    this.#kept = this.#kept.toSorted((a, b) => bySeverity(a.summary, b.summary)).slice(0, MAX_ROWS)
  }

  async #writePages(file: string, facts: ReportFacts, onProgress: ReportProgress): Promise<number> {
    const { conversationPage } = await import('../report/conversation-page.js')
    const [only] = this.#kept
    if (this.#counts.conversations === 1 && only !== undefined) {
      await this.#page?.append(conversationPage(only, facts))
      return 1
    }
    const { overviewPage } = await import('../report/overview-page.js')
    const folder = `${basename(file, extname(file))}-pages`
    // A folder is not swapped in one step; the old one goes only when the new one is whole.
    const fresh = join(dirname(file), `.${folder}.${String(process.pid)}.part`)
    await makeFolder(fresh)
    try {
      const shown = this.#kept.slice(0, MAX_PAGES)
      const names = shown.map(({ summary }, index) => `${fileName(index, summary.conversation)}.html`)
      for (const [index, record] of shown.entries()) {
        onProgress({ doing: 'writing pages', done: index, total: shown.length })
        await writeWhole(
          join(fresh, names[index] as string),
          conversationPage(record, facts, { overview: `../${encodeURIComponent(basename(file))}` }),
        )
      }
      await rm(join(dirname(file), folder), { recursive: true, force: true })
      await rename(fresh, join(dirname(file), folder))
      const rows = this.#kept.map(({ summary, exchanges }, index) => {
        const key = keyExchange(exchanges)
        const name = names[index]
        return {
          summary,
          level: worstLevel(exchanges),
          reasons: key === null || key.level === 'calm' ? [] : key.reasons.slice(0, 2),
          page: name === undefined ? null : `${encodeURIComponent(folder)}/${encodeURIComponent(name)}`,
        }
      })
      await this.#page?.append(overviewPage(rows, this.#counts, facts))
      return shown.length + 1
    } finally {
      await rm(fresh, { recursive: true, force: true })
    }
  }

  async #writePictures(facts: ReportFacts, onProgress: ReportProgress): Promise<{ pictures: number; noRasterizer: boolean }> {
    const { pictures: folder } = this.#places
    if (folder === null) return { pictures: 0, noRasterizer: false }
    const { loadRasterizer, stackedSvg } = await import('../report/panels-png.js')
    const { conversationPanels } = await import('../report/conversation-panels.js')
    const rasterize = await loadRasterizer()
    if (rasterize === null) return { pictures: 0, noRasterizer: true }
    await makeFolder(folder)
    const shown = this.#kept.filter(({ exchanges }) => exchanges.length > 0).slice(0, MAX_PICTURES)
    for (const [index, { summary, exchanges }] of shown.entries()) {
      onProgress({ doing: 'drawing pictures', done: index, total: shown.length })
      const svg = stackedSvg(summary.conversation, conversationPanels(exchanges, facts))
      await writeWhole(join(folder, `${fileName(index, summary.conversation)}.png`), rasterize(svg))
    }
    return { pictures: shown.length, noRasterizer: false }
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new GabionError('INVALID_ARGUMENT', `cannot make the folder ${folder}: ${(cause as Error).message}`, { cause })
  })
}

/** A name that every file system takes; the number keeps conversations apart whose names look alike. */
function fileName(index: number, conversation: string): string {
  const plain = conversation
    .replaceAll(/[^\w.-]+/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '')
    .slice(0, 60)
  return `${String(index + 1).padStart(3, '0')}${plain === '' ? '' : `-${plain}`}`
}
