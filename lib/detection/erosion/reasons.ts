// Owns the words in which the erosion detector explains itself. Knows numbers that were already computed.

import type { ErosionVerdict } from './erosion.js'

/** Everything of a verdict but its words. */
export type WordlessVerdict = Omit<ErosionVerdict, 'reasons'>

/** A change smaller than this, in benign deviations, is not worth a phrase. */
const NOTABLE_CHANGE = 1

/** Why a verdict is what it is; empty for a calm exchange. */
export function reasonsOf(verdict: WordlessVerdict): string[] {
  if (verdict.empty) return ['empty reply: nothing to score, no alert is raised']
  if (verdict.state === 'calm') return []
  const reasons: string[] = []
  const { thresholds, statistic, logit, window, anchors, refused } = verdict
  const show = (value: number): string => value.toFixed(2)
  if (verdict.alert) reasons.push(`alert: score ${show(statistic)} reaches ${show(thresholds.alert)}`)
  else if (statistic >= thresholds.alert) reasons.push(`still above the alert line (${show(statistic)} of ${show(thresholds.alert)})`)
  else if (statistic >= thresholds.elevated)
    reasons.push(`score ${show(statistic)} is above the elevated line ${show(thresholds.elevated)}`)
  else
    reasons.push(
      `score ${show(statistic)} is back below the elevated line ${show(thresholds.elevated)}; the level follows after two calm exchanges`,
    )
  if (statistic >= thresholds.elevated) reasons.push(`the reply is closest to '${anchors.unsafe.tag}'`)
  if (window.count > 1) reasons.push(`worst part: characters ${String(window.start)} to ${String(window.end)} of the reply`)
  if (refused.anywhere && statistic >= thresholds.elevated) reasons.push('although the reply has words of refusal')
  if (Math.abs(verdict.drift) >= NOTABLE_CHANGE) {
    reasons.push(`${verdict.drift > 0 ? 'up' : 'down'} ${show(Math.abs(verdict.drift))} deviations since the exchange before`)
  }
  if (verdict.highest.turn !== verdict.exchange)
    reasons.push(`highest so far: ${show(verdict.highest.logit)} at exchange ${String(verdict.highest.turn)} (now ${show(logit)})`)
  return reasons
}
