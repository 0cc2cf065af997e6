// Owns the comparison of two monitors' alerts, exchange by exchange. Knows no particular detector.

import type { ExchangeVerdict } from '../detection/verdict.js'
import type { Exchange } from '../monitor/judge.js'
import type { Monitor } from '../monitor/monitor.js'

/** A conversation for both monitors. */
export interface ComparedConversation {
  readonly id: string
  readonly exchanges: readonly Exchange[]
}

/** An exchange on which the two disagree. */
export interface Disagreement {
  readonly conversation: string
  readonly exchange: number
  readonly old: { readonly alert: boolean; readonly likelihood: number }
  readonly new: { readonly alert: boolean; readonly likelihood: number }
}

/** Agreement of two monitors. */
export interface AlertAgreement {
  readonly conversations: number
  readonly exchanges: number
  /** Exchanges with the same decision. */
  readonly agreeing: number
  /** Alerts of both, only of the old one (missed by the new one), only of the new one. */
  readonly both: number
  readonly onlyOld: number
  readonly onlyNew: number
  /** Every exchange with different decisions, in the order of the input. */
  readonly disagreements: readonly Disagreement[]
}

/** Options of {@link compareAlerts}. */
export interface CompareAlertsOptions {
  signal?: AbortSignal
  /** Called after each exchange. */
  onExchange?: (exchanges: number) => void
}

/** Runs conversations through an old and a new monitor. */
export async function compareAlerts(
  old: Monitor,
  fresh: Monitor,
  conversations: AsyncIterable<ComparedConversation> | Iterable<ComparedConversation>,
  options: CompareAlertsOptions = {},
): Promise<AlertAgreement> {
  const tally = { conversations: 0, exchanges: 0, agreeing: 0, both: 0, onlyOld: 0, onlyNew: 0 }
  const disagreements: Disagreement[] = []
  const pick = ({ alert, likelihood }: ExchangeVerdict): Disagreement['old'] => ({ alert, likelihood })
  const exchangeOptions = options.signal === undefined ? undefined : { signal: options.signal }
  for await (const { id, exchanges } of conversations) {
    tally.conversations++
    const [before, after] = [old.begin(id), fresh.begin(id)]
    for (const exchange of exchanges) {
      const [a, b] = await Promise.all([before.addExchange(exchange, exchangeOptions), after.addExchange(exchange, exchangeOptions)])
      tally.exchanges++
      options.onExchange?.(tally.exchanges)
      if (a.alert && b.alert) tally.both++
      if (a.alert === b.alert) {
        tally.agreeing++
        continue
      }
      if (a.alert) tally.onlyOld++
      else tally.onlyNew++
      disagreements.push({ conversation: id, exchange: a.exchange, old: pick(a), new: pick(b) })
    }
  }
  return { ...tally, disagreements }
}
