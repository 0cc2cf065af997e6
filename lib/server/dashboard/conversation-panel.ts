// One conversation: its exchanges with level, likelihood, the guard's signals and reasons, and its marks.

import type { ExchangeVerdict, GuardSignals } from '../../detection/verdict.js'
import type { ConversationStatus } from '../conversations/status.js'
import { ExchangeChart } from './charts.js'
import { element, make, shortened, timeOf } from './dom.js'

const COLUMNS = ['Exchange', 'Level', 'Likelihood', 'Time', 'Reasons', 'Signals'] as const

/** The panel. */
export class ConversationPanel {
  readonly #chart = new ExchangeChart(element('exchange-chart'))

  /** Shows a conversation, null for none. An exchange to look at is marked and scrolled to. */
  show(
    conversation: string | null,
    status: ConversationStatus | undefined,
    history: readonly ExchangeVerdict[],
    exchange: number | null,
  ): void {
    const title = element('conversation-title')
    title.textContent = conversation === null ? 'No conversation chosen' : `Conversation ${conversation}`
    element('conversation-facts').textContent = status === undefined ? '' : factsOf(status).join(' · ')
    this.#chart.show(conversation ?? 'no conversation', history)
    element('exchange-rows').replaceChildren(...history.toReversed().map((verdict) => rowOf(verdict, verdict.exchange === exchange)))
  }

  /** Brings an exchange into view. */
  reveal(): void {
    element('exchange-rows').querySelector('[aria-current]')?.scrollIntoView({ block: 'center' })
  }
}

function factsOf({ alerts, firstAlert, caller, tenant }: ConversationStatus): string[] {
  return [
    alerts === 0 || firstAlert === null ? '' : `${alerts} ${alerts === 1 ? 'alert' : 'alerts'}, the first at exchange ${firstAlert}`,
    caller === null ? '' : `caller ${shortened(caller)}`,
    tenant === null ? '' : `tenant ${tenant}`,
  ].filter((fact) => fact !== '')
}

function rowOf({ exchange, alert, level, likelihood, at, reasons, signals, strength, rule, sentence }: ExchangeVerdict, marked: boolean) {
  const row = make('tr', '', alert ? 'alerted' : '')
  if (marked) row.setAttribute('aria-current', 'true')
  const cells = COLUMNS.map((column) => {
    const cell = make('td')
    cell.dataset.label = column
    row.append(cell)
    return cell
  })
  const [number, badge, sure, time, why, numbers] = cells as HTMLElement[] as [
    HTMLElement,
    HTMLElement,
    HTMLElement,
    HTMLElement,
    HTMLElement,
    HTMLElement,
  ]
  number.textContent = String(exchange)
  badge.append(make('span', level, `level ${level}`))
  if (alert) badge.append(' ', make('span', 'alert raised', 'mark'))
  sure.textContent = likelihood.toFixed(3)
  time.append(timeOf(at))
  why.append(...reasons.map((reason) => make('div', reason)))
  if ((rule ?? null) !== null) why.append(make('div', `Rule: ${rule ?? ''}`, 'rule'))
  if ((sentence ?? null) !== null) why.append(make('div', `“${sentence ?? ''}”`, 'sentence'))
  numbers.append(...signalsOf(signals ?? null, strength ?? null).map((text) => make('div', text)))
  return row
}

function signalsOf(signals: GuardSignals | null, strength: number | null): string[] {
  const named = Object.entries({ ...signals }).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value.toFixed(2)}`]))
  return strength === null ? named : [...named, `strength ${strength.toFixed(2)}`]
}
