// The list of alerts, newest first: what happened, how sure, what became of the reply, who takes care. Loads pages as they are asked for.

import type { Alert, ReplyOutcome } from '../../alerts/alert.js'
import type { Acknowledgement, AlertPage, StoredAlert } from '../conversations/status.js'
import type { Api } from './api.js'
import { button, element, make, nameOf, shortened, timeOf } from './dom.js'

const PAGE = 50

const OUTCOMES: Readonly<Record<ReplyOutcome, string>> = {
  passed: 'reply passed',
  cut: 'reply cut',
  held: 'reply held',
  ended: 'conversation ended',
}

/** The panel. */
export class AlertsPanel {
  readonly #api: Api
  readonly #open: (conversation: string, exchange: number) => void
  /** By id, newest first. */
  #alerts: StoredAlert[] = []
  #counts = { total: 0, open: 0 }
  #openOnly = false
  #drawing = false

  constructor(api: Api, open: (conversation: string, exchange: number) => void) {
    this.#api = api
    this.#open = open
    element('more-alerts').addEventListener('click', () => void this.#load(this.#alerts.length))
    element<HTMLInputElement>('open-only').addEventListener('change', ({ target }) => {
      this.#openOnly = (target as HTMLInputElement).checked
      this.#alerts = []
      void this.#load(0)
    })
  }

  /** Reads the newest alerts again, as many as are shown. */
  async reload(): Promise<void> {
    await this.#load(0, Math.max(PAGE, this.#alerts.length))
  }

  /** An alert that was raised just now. */
  add(alert: Alert): void {
    if (this.#alerts.some(({ id }) => id === alert.id)) return
    this.#alerts.unshift({ ...alert, acknowledged: null })
    this.#counts = { total: this.#counts.total + 1, open: this.#counts.open + 1 }
    this.#draw()
  }

  /** Somebody has acknowledged an alert, here or elsewhere. */
  acknowledged(conversation: string, exchange: number, acknowledged: Acknowledgement): void {
    const at = this.#alerts.findIndex((alert) => alert.conversation === conversation && alert.exchange === exchange)
    const known = this.#alerts[at]
    if (known !== undefined && known.acknowledged !== null) return
    this.#counts = { ...this.#counts, open: Math.max(0, this.#counts.open - 1) }
    if (known !== undefined && this.#openOnly) this.#alerts.splice(at, 1)
    else if (known !== undefined) this.#alerts[at] = { ...known, acknowledged }
    this.#draw()
  }

  /** A conversation was deleted, and its alerts with it. */
  forget(conversation: string): void {
    const gone = this.#alerts.filter((alert) => alert.conversation === conversation)
    if (gone.length === 0) return
    this.#alerts = this.#alerts.filter((alert) => alert.conversation !== conversation)
    const open = gone.filter(({ acknowledged }) => acknowledged === null).length
    this.#counts = { total: this.#counts.total - gone.length, open: this.#counts.open - open }
    this.#draw()
  }

  async #load(offset: number, limit = PAGE): Promise<void> {
    const query = `limit=${Math.min(1000, limit)}&offset=${offset}${this.#openOnly ? '&open=true' : ''}`
    const { alerts, total, open } = await this.#api.get<AlertPage>(`v1/alerts?${query}`)
    const kept = offset === 0 ? [] : this.#alerts
    const known = new Set(kept.map(({ id }) => id))
    // Alerts that arrived meanwhile have moved the others on.
    this.#alerts = [...kept, ...alerts.filter(({ id }) => !known.has(id))]
    this.#counts = { total, open }
    this.#draw()
  }

  /** At most once a frame, however many alerts arrive. */
  #draw(): void {
    if (this.#drawing) return
    this.#drawing = true
    requestAnimationFrame(() => {
      this.#drawing = false
      this.#drawNow()
    })
  }

  #drawNow(): void {
    const { total, open } = this.#counts
    document.title = open === 0 ? 'gabion' : `(${open}) gabion`
    element('alert-count').textContent = total === 0 ? 'No alert.' : `${open} open, ${total} in all`
    const list = element('alert-list')
    const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement : null
    const key = focused?.dataset.key
    list.replaceChildren(...this.#alerts.map((alert) => this.#item(alert)))
    if (key !== undefined) [...list.querySelectorAll<HTMLElement>('button')].find(({ dataset }) => dataset.key === key)?.focus()
    const shown = this.#openOnly ? open : total
    element('more-alerts').hidden = this.#alerts.length >= shown
    element('more-alerts').textContent = `Show more (${shown - this.#alerts.length} older)`
  }

  #item(alert: StoredAlert): HTMLLIElement {
    const { id, conversation, exchange, at, likelihood, reasons, caller, tenant, reply, acknowledged, strength } = alert
    const item = make('li', '', acknowledged === null ? 'open' : 'done')
    const head = make('div', '', 'head')
    const title = button('', 'title', () => this.#open(conversation, exchange))
    title.dataset.key = `open ${id}`
    title.append(nameOf(conversation), make('span', `, exchange ${exchange}`))
    head.append(timeOf(at), title, make('span', `likelihood ${likelihood.toFixed(2)}`, 'sure'))
    if (reply !== null) head.append(make('span', OUTCOMES[reply], `reply ${reply}`))
    item.append(head)
    const why = make('ul', '', 'reasons')
    why.append(...reasons.map((reason) => make('li', reason)))
    if (reasons.length > 0) item.append(why)
    const foot = make('div', '', 'foot')
    const facts = [
      caller === null ? '' : `caller ${shortened(caller)}`,
      tenant === null ? '' : `tenant ${tenant}`,
      strength === null ? '' : `guardrail strength ${strength.toFixed(2)}`,
    ].filter((fact) => fact !== '')
    foot.append(make('span', facts.join(' · '), 'facts'))
    if (acknowledged === null) {
      const take = button('Acknowledge', 'acknowledge', () => void this.#acknowledge(alert).catch(() => undefined))
      take.dataset.key = `acknowledge ${id}`
      take.setAttribute('aria-label', `Acknowledge the alert of ${conversation}, exchange ${exchange}`)
      foot.append(take)
    } else {
      const who = make('span', acknowledged.by === null ? 'acknowledged ' : `acknowledged by ${acknowledged.by} `, 'acknowledged')
      who.append(timeOf(acknowledged.at))
      foot.append(who)
    }
    item.append(foot)
    return item
  }

  async #acknowledge({ conversation, exchange }: StoredAlert): Promise<void> {
    const path = `v1/conversations/${encodeURIComponent(conversation)}/exchanges/${exchange}/acknowledgement`
    const { acknowledged } = await this.#api.put<{ acknowledged: Acknowledgement }>(path, {})
    this.acknowledged(conversation, exchange, acknowledged)
  }
}
