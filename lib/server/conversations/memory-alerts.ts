// The alerts of conversations in this process, newest first.

import { LRUCache } from 'lru-cache'
import type { Alert } from '../../alerts/alert.js'
import { alertMember, MAX_LISTED_ALERTS } from './record.js'
import type { Acknowledgement, AlertPage, StoredAlert } from './status.js'

/** Bounded by number; a forgotten conversation's alerts are forgotten with it. */
export class MemoryAlerts {
  // The order of insertion is that of time: nothing is read in a way that changes it.
  readonly #alerts = new LRUCache<string, StoredAlert>({ max: MAX_LISTED_ALERTS })
  readonly #exchanges = new Map<string, number[]>()

  add(alert: Alert): void {
    const { conversation, exchange } = alert
    this.#alerts.set(alertMember(conversation, exchange), { ...alert, acknowledged: null })
    this.#exchanges.set(conversation, [...(this.#exchanges.get(conversation) ?? []), exchange])
  }

  page({ limit, offset, openOnly }: { limit: number; offset: number; openOnly: boolean }): AlertPage {
    const all = [...this.#alerts.values()]
    const open = all.filter(({ acknowledged }) => acknowledged === null)
    return { alerts: (openOnly ? open : all).slice(offset, offset + limit), total: all.length, open: open.length }
  }

  acknowledge(conversation: string, exchange: number, acknowledged: Acknowledgement): { first: boolean; inForce: Acknowledgement } | null {
    const member = alertMember(conversation, exchange)
    const alert = this.#alerts.peek(member)
    if (alert === undefined) return null
    if (alert.acknowledged !== null) return { first: false, inForce: alert.acknowledged }
    // A new value would move it to the front.
    Object.assign(alert, { acknowledged })
    return { first: true, inForce: acknowledged }
  }

  forget(conversation: string): void {
    for (const exchange of this.#exchanges.get(conversation) ?? []) this.#alerts.delete(alertMember(conversation, exchange))
    this.#exchanges.delete(conversation)
  }

  clear(): void {
    this.#alerts.clear()
    this.#exchanges.clear()
  }
}
