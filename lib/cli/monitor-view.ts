// Owns the output of `gabion monitor`: JSON lines, or a table of exchanges with alerts and a final summary.

import type { ConversationSummary } from '../monitor/watch.js'
import type { Output } from './output.js'
import type { ExchangeTimings, ExchangeVerdict } from '../detection/verdict.js'
import { quantile } from '../statistics/quantile.js'
import { ExchangeTable } from './exchange-table.js'
import { count, formatMs, printable } from './wording.js'

/** With more conversations, the summary lists only those with alerts. */
const MAX_LISTED = 12
const SHOWN_PARTS = ['tokenize', 'encode', 'project', 'detect'] as const

/** Prints a run of the monitor. */
export class MonitorView {
  readonly #output: Output
  readonly #table: ExchangeTable
  readonly #alerting = new Set<string>()
  readonly #remarks = new Map<string, string>()
  #shown: string | null = null

  constructor(output: Output) {
    this.#output = output
    this.#table = new ExchangeTable(output.columns, output.colors)
  }

  /** Sets the remark next to a conversation's name. */
  announce(conversation: string, remark: string): void {
    if (!this.#output.json) this.#remarks.set(conversation, remark)
  }

  /** Prints a judged exchange. */
  async exchange(line: ExchangeVerdict): Promise<void> {
    const { conversation, alert } = line
    if (this.#output.json) {
      await this.#output.jsonLine(line)
      return
    }
    if (this.#shown !== conversation) {
      const remark = [this.#remarks.get(conversation) ?? '', ...(line.exchange === 1 ? [] : ['continued'])].filter((part) => part !== '')
      await this.#output.line(this.#table.header(printable(conversation), printable(remark.join(', ')), line))
      this.#shown = conversation
    }
    await this.#output.line(this.#table.exchange(line))
    if (alert && !this.#alerting.has(conversation)) await this.#output.line(this.#table.alert(line))
    if (alert) this.#alerting.add(conversation)
    else this.#alerting.delete(conversation)
  }

  /** Prints the end of a conversation. */
  async end(summary: ConversationSummary): Promise<void> {
    const { conversation, exchanges, pending, notes } = summary
    this.#alerting.delete(conversation)
    this.#remarks.delete(conversation)
    const name = printable(conversation)
    if (this.#output.json) await this.#output.jsonLine({ summary })
    else if (exchanges === 0) await this.#output.line(`\n${this.#output.colors.bold(name)}  no assistant message, nothing to judge`)
    for (const note of notes) this.#output.warn(`${name}: ${printable(note)}`)
    if (pending > 0) this.#output.note(`${name}: ${count(pending, 'user message')} after the last reply, not judged`)
  }

  /** Prints the summary. */
  async close(summaries: readonly ConversationSummary[], latency: LatencySplit, seconds: number, engine: string): Promise<void> {
    if (this.#output.json) return
    const { bold, red, green, dim } = this.#output.colors
    const alerting = summaries.filter((summary) => summary.alerts > 0)
    const exchanges = summaries.reduce((sum, summary) => sum + summary.exchanges, 0)
    const verdict = alerting.length === 0 ? green('no alert') : bold(red(`${count(alerting.length, 'conversation')} with alerts`))
    await this.#output.line(`\n${bold('Summary')}  ${count(summaries.length, 'conversation')}, ${count(exchanges, 'exchange')}, ${verdict}`)
    const listed = summaries.length <= MAX_LISTED ? summaries : alerting
    const width = Math.max(0, ...listed.map(({ conversation }) => printable(conversation).length))
    for (const summary of listed) await this.#output.line(`  ${this.#outcome(summary, width)}`)
    if (latency.exchanges === 0) return
    const half = latency.quantiles(0.5)
    const parts = SHOWN_PARTS.map((part) => `${part} ${formatMs(half[`${part}Ms`])}`)
    await this.#output.line(`${bold('Time')}     ${parts.join(' · ')}`)
    await this.#output.line(dim(`         p50 per exchange, summed over its two texts; ${(exchanges / seconds).toFixed(1)} exchanges/s`))
    await this.#output.line(dim(`         ${engine}`))
  }

  #outcome({ conversation, exchanges, alerts, firstAlert, highest }: ConversationSummary, width: number): string {
    const { bold, red, green, dim } = this.#output.colors
    const name = printable(conversation).padEnd(width)
    if (highest === null) return `${dim('· nothing  ')}  ${name}`
    const peak = dim(`peak ${highest.likelihood.toFixed(2)} at exchange ${highest.exchange}/${exchanges}`)
    if (firstAlert === null) return `${green('● no alert ')}  ${name}  ${peak}`
    return `${bold(red(`■ ${count(alerts, 'alert')}`.padEnd(11)))}  ${name}  ${red(`first at exchange ${firstAlert}`)}${dim(',')} ${peak}`
  }
}

const PARTS = ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'] as const
/** Exchanges whose times are stored: enough for a 99 % quantile, and a bound for endless streams. */
const MAX_EXCHANGES = 10_000

/** Times of the latest exchanges. */
export class LatencySplit {
  readonly #times = new Map(PARTS.map((part) => [part, new Float64Array(MAX_EXCHANGES)]))
  #exchanges = 0

  /** Exchanges measured. */
  get exchanges(): number {
    return this.#exchanges
  }

  add(timings: ExchangeTimings): void {
    for (const part of PARTS) (this.#times.get(part) as Float64Array)[this.#exchanges % MAX_EXCHANGES] = timings[part]
    this.#exchanges++
  }

  /** The q-quantile of each part; they need not add up to the total's. */
  quantiles(q: number): ExchangeTimings {
    const of = (part: (typeof PARTS)[number]): number =>
      quantile((this.#times.get(part) as Float64Array).subarray(0, Math.min(this.#exchanges, MAX_EXCHANGES)), q)
    return {
      tokenizeMs: of('tokenizeMs'),
      queueMs: of('queueMs'),
      encodeMs: of('encodeMs'),
      projectMs: of('projectMs'),
      detectMs: of('detectMs'),
      totalMs: of('totalMs'),
    }
  }
}
