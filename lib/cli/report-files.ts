// Owns the files of `monitor --report` and the pictures of `--out`: selection of conversations and file names. lib/report owns
// their content.

import { reasonsWithoutTexts } from '../detection/wordless.js'
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

/** Conversations with pages, and with pictures: the most severe ones, since a run may have a hundred thousand and each takes time. */
const MAX_PAGES = 100
const MAX_PICTURES = 20
/** Rows of the overview. */
const MAX_ROWS = 1000

/** Output paths of reports; at least one is not null. */
export interface ReportTargets {
  /** An HTML file. */
  readonly page: string | null
  /** A folder for pictures. */
  readonly pictures: string | null
  /** Whether pages include the conversations' texts. */
  readonly withText: boolean
}

/** Counts of written files. */
export interface WrittenReports {
  readonly pages: number
  readonly pictures: number
  /** Pictures were requested, but their library is not installed. */
  readonly noRasterizer: boolean
}

/** Progress of the writing. */
export type ReportProgress = (step: { readonly doing: string; readonly done: number; readonly total: number }) => void

/** Collects the input of reports during a run. Stores the most severe conversations only, so memory is bounded. */
export class ReportFiles {
  readonly #targets: ReportTargets
  readonly #page: PendingFile | null
  readonly #open = new Map<string, { exchanges: ExchangeVerdict[]; texts: ExchangeTexts[] }>()
  #records: ConversationRecord[] = []
  #counts = { conversations: 0, exchanges: 0, alerting: 0 }

  private constructor(targets: ReportTargets, page: PendingFile | null) {
    this.#targets = targets
    this.#page = page
  }

  /**
   * Creates the page's folder and file, so that an unwritable path fails before the run.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a page without .html extension, or one that cannot be written
   */
  static async create(targets: ReportTargets): Promise<ReportFiles> {
    const { page } = targets
    if (page === null) return new ReportFiles(targets, null)
    if (!['.html', '.htm'].includes(extname(page).toLowerCase())) {
      throw new GabionError('INVALID_ARGUMENT', `--report must be the name of an .html file, got ${page}`)
    }
    await makeFolder(dirname(page))
    return new ReportFiles(targets, await PendingFile.create(page))
  }

  /** Removes incomplete files; a no-op after {@link write}. */
  async discard(): Promise<void> {
    await this.#page?.discard()
  }

  /** Records the texts of a conversation's next exchange. */
  read(conversation: string, texts: ExchangeTexts): void {
    if (this.#targets.withText) this.#of(conversation).texts.push(texts)
  }

  /** Records a verdict. */
  add(verdict: ExchangeVerdict): void {
    this.#of(verdict.conversation).exchanges.push(verdict)
  }

  /** Records the end of a conversation. */
  end(summary: ConversationSummary): void {
    const { exchanges, texts } = this.#of(summary.conversation)
    this.#open.delete(summary.conversation)
    this.#counts.conversations++
    this.#counts.exchanges += summary.exchanges
    this.#counts.alerting += summary.alerts > 0 ? 1 : 0
    this.#records.push({ summary, exchanges, texts: this.#targets.withText ? texts : null })
    if (this.#records.length > 2 * MAX_ROWS) this.#dropCalmest()
  }

  async write(facts: ReportFacts, onProgress: ReportProgress = () => undefined): Promise<WrittenReports> {
    this.#dropCalmest()
    const pages = this.#targets.page === null ? 0 : await this.#writePages(this.#targets.page, facts, onProgress)
    await this.#page?.complete()
    const { pictures, noRasterizer } = await this.#writePictures(facts, onProgress)
    return { pages, pictures, noRasterizer }
  }

  #of(conversation: string): { exchanges: ExchangeVerdict[]; texts: ExchangeTexts[] } {
    const found = this.#open.get(conversation) ?? { exchanges: [], texts: [] }
    this.#open.set(conversation, found)
    return found
  }

  #dropCalmest(): void {
    this.#records = this.#records.toSorted((a, b) => bySeverity(a.summary, b.summary)).slice(0, MAX_ROWS)
  }

  async #writePages(file: string, facts: ReportFacts, onProgress: ReportProgress): Promise<number> {
    const { conversationPage } = await import('../report/conversation-page.js')
    const [only] = this.#records
    if (this.#counts.conversations === 1 && only !== undefined) {
      await this.#page?.append(conversationPage(only, facts))
      return 1
    }
    const { overviewPage } = await import('../report/overview-page.js')
    const folder = `${basename(file, extname(file))}-pages`
    // Folders cannot be swapped atomically; the old one is removed only when the new one is complete.
    const fresh = join(dirname(file), `.${folder}.${String(process.pid)}.part`)
    await makeFolder(fresh)
    try {
      const shown = this.#records.slice(0, MAX_PAGES)
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
      const rows = this.#records.map(({ summary, exchanges }, index) => {
        const key = keyExchange(exchanges)
        const name = names[index]
        return {
          summary,
          level: worstLevel(exchanges),
          reasons: key === null || key.level === 'calm' ? [] : reasonsWithoutTexts(key).slice(0, 2),
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
    const { pictures: folder } = this.#targets
    if (folder === null) return { pictures: 0, noRasterizer: false }
    const { loadRasterizer, stackedSvg } = await import('../report/panels-png.js')
    const { conversationPanels } = await import('../report/conversation-panels.js')
    const rasterize = await loadRasterizer()
    if (rasterize === null) return { pictures: 0, noRasterizer: true }
    await makeFolder(folder)
    const shown = this.#records.filter(({ exchanges }) => exchanges.length > 0).slice(0, MAX_PICTURES)
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
    throw new GabionError('INVALID_ARGUMENT', `cannot create the folder ${folder}: ${(cause as Error).message}`, { cause })
  })
}

/** A portable file name; the number distinguishes conversations with similar names. */
function fileName(index: number, conversation: string): string {
  const plain = conversation
    .replaceAll(/[^\w.-]+/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '')
    .slice(0, 60)
  return `${String(index + 1).padStart(3, '0')}${plain === '' ? '' : `-${plain}`}`
}
