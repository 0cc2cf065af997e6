// Owns what `gabion monitor` prints: JSON lines, or a table of turns with alerts and a closing summary.

import type { ConversationSummary, LatencySplit } from './monitor-summary.js'
import type { Output } from './output.js'
import { formatMs } from './quantiles.js'
import type { FeedEvent } from './turn-feed.js'
import type { TurnLine } from './turn-line.js'
import { TurnTable } from './turn-table.js'
import { count, printable } from './wording.js'

/** Conversations without an alert are listed at the end only while they are this few. */
const LISTED = 12

/** Prints a run of the monitor. */
export class MonitorView {
  readonly #output: Output
  readonly #table: TurnTable
  readonly #alerting = new Set<string>()
  readonly #remarks = new Map<string, string>()
  #shown: string | null = null

  constructor(output: Output) {
    this.#output = output
    this.#table = new TurnTable(output.columns, output.colors)
  }

  /** A conversation begins. */
  begin({ conversation, source, exchanges, notes }: FeedEvent & { kind: 'begin' }): void {
    const remark = [source, ...(exchanges === null ? [] : [count(exchanges, 'exchange')])].join(', ')
    this.#remarks.set(conversation, remark)
    for (const note of notes) this.#output.warn(`${printable(conversation)}: ${note}`)
  }

  /** A turn was judged. */
  async turn(line: TurnLine): Promise<void> {
    if (this.#output.json) {
      await this.#output.jsonLine(line)
      return
    }
    if (this.#shown !== line.conversation) {
      const remark = this.#remarks.get(line.conversation) ?? ''
      await this.#output.line(this.#table.header(printable(line.conversation), line.turn === 1 ? remark : `${remark}, continued`))
      this.#shown = line.conversation
    }
    await this.#output.line(this.#table.turn(line))
    if (line.alert && !this.#alerting.has(line.conversation)) await this.#output.line(this.#table.alert(line))
    if (line.alert) this.#alerting.add(line.conversation)
    else this.#alerting.delete(line.conversation)
  }

  /** A conversation has ended. */
  async end(summary: ConversationSummary): Promise<void> {
    this.#alerting.delete(summary.conversation)
    this.#remarks.delete(summary.conversation)
    if (this.#output.json) await this.#output.jsonLine({ summary })
    else if (summary.turns === 0)
      await this.#output.line(`\n${this.#output.colors.bold(printable(summary.conversation))}  no assistant message, nothing to judge`)
    if (summary.pending > 0) {
      this.#output.note(`${printable(summary.conversation)}: ${count(summary.pending, 'user message')} after the last reply, not judged`)
    }
  }

  /** Everything has been read. */
  async close(summaries: readonly ConversationSummary[], latency: LatencySplit, engine: string): Promise<void> {
    if (this.#output.json) return
    const { bold, red, green, dim } = this.#output.colors
    const alerting = summaries.filter((summary) => summary.alerts > 0)
    const turns = summaries.reduce((sum, summary) => sum + summary.turns, 0)
    const verdict = alerting.length === 0 ? green('no alert') : bold(red(`${count(alerting.length, 'conversation')} with alerts`))
    await this.#output.line(`\n${bold('Summary')}  ${count(summaries.length, 'conversation')}, ${count(turns, 'turn')}, ${verdict}`)
    for (const summary of summaries.length <= LISTED ? summaries : alerting) await this.#output.line(`  ${this.#outcome(summary)}`)
    if (latency.turns === 0) return
    const [half, most] = [latency.quantiles(0.5), latency.quantiles(0.99)]
    const parts = (['tokenize', 'encode', 'project', 'detect', 'total'] as const).map((part) => `${part} ${formatMs(half[`${part}Ms`])}`)
    await this.#output.line(`${bold('Time')}     a turn, p50: ${parts.join(' · ')}`)
    await this.#output.line(dim(`         p99 total ${formatMs(most.totalMs)}; ${engine}`))
  }

  #outcome({ conversation, turns, alerts, firstAlert, peak }: ConversationSummary): string {
    const { red, green, dim } = this.#output.colors
    const reached = peak === null ? 'not judged' : `peak ${peak.likelihood.toFixed(2)} at turn ${peak.turn} of ${turns}`
    const mark = firstAlert === null ? green('● no alert  ') : red(`■ ${count(alerts, 'alert')}${alerts === 1 ? ' ' : ''}  `.padEnd(12))
    const first = firstAlert === null ? '' : red(`, first at turn ${firstAlert}`)
    return `${mark} ${printable(conversation)}  ${dim(reached)}${first}`
  }
}
