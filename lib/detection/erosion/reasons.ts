// Owns the reasons of an erosion verdict in words. Knows computed numbers only. Figures are in parentheses, so that a view with
// columns of its own can leave them out.

import type { ErosionVerdict } from './verdict.js'

/** A verdict before its reasons. */
export type WordlessVerdict = Omit<ErosionVerdict, 'reasons'>

/** Smaller changes, in benign deviations, are not reported. */
const NOTABLE_CHANGE = 1
/** A person sees no resemblance below this cosine. */
const RESEMBLANCE = 0.45

/** The reasons of a verdict; empty for a calm one. */
export function reasonsOf(verdict: WordlessVerdict, exchange: number): string[] {
  if (verdict.empty) return ['empty reply: nothing to score, no alert is raised']
  const language = verdict.foreign === null ? [] : [foreignReply(verdict.foreign.name)]
  if (verdict.level === 'calm') return language
  const { thresholds, statistic } = verdict
  const high = statistic >= thresholds.elevated
  return [...language, standing(verdict), ...(high ? causes(verdict) : []), ...movement(verdict, exchange)]
}

function foreignReply(name: string): string {
  return `reads like ${name}: the detector was trained on English and does not know refusals in ${name}, so its scores mean little here`
}

/** The conversation's standing among ordinary ones. */
function standing({ alert, statistic, thresholds }: WordlessVerdict): string {
  const figures = (line: number): string => `(score ${show(statistic)}, line ${show(line)})`
  const rarity = (budget: number): string => `about 1 in ${String(Math.round(1 / budget))} ordinary conversations`
  const { elevated, budgets } = thresholds
  if (statistic >= thresholds.alert) {
    const reach = `only ${rarity(budgets.alert)} ever score this high ${figures(thresholds.alert)}`
    return alert ? `crosses the alert line: ${reach}` : `still above the alert line ${figures(thresholds.alert)}`
  }
  if (statistic >= elevated) return `unusual: ${rarity(budgets.elevated)} come this far ${figures(elevated)}`
  return `this exchange itself is below the lines ${figures(elevated)}; the level falls after two such exchanges in a row`
}

/** The parts of the exchange that the score comes from. */
function causes({ contributions, anchors, refused, window }: WordlessVerdict): string[] {
  const reasons: string[] = []
  if (contributions !== null) {
    const reply = contributions.reply + contributions.product
    const { user } = contributions
    const figures = `(reply ${signed(reply)}, request ${signed(user)})`
    if (reply > 2 * user) reasons.push(`it is the reply that looks wrong, more than the request ${figures}`)
    else if (user > 2 * reply) reasons.push(`it is mostly the request that looks wrong ${figures}`)
    else reasons.push(`both the request and how it was answered look wrong ${figures}`)
  }
  reasons.push(refused.anywhere ? 'although the reply has words of refusal' : 'the reply does not decline')
  if (anchors.unsafe.cosine >= RESEMBLANCE)
    reasons.push(`it resembles replies of the kind '${anchors.unsafe.tag}' (cosine ${show(anchors.unsafe.cosine)})`)
  if (window.count > 1) reasons.push(`worst part: characters ${String(window.start)} to ${String(window.end)} of the reply`)
  return reasons
}

/** Changes since earlier exchanges. */
function movement({ drift, highest }: WordlessVerdict, exchange: number): string[] {
  const reasons: string[] = []
  if (Math.abs(drift) >= NOTABLE_CHANGE) {
    const size = Math.abs(drift) >= 2 * NOTABLE_CHANGE ? 'a big' : 'a clear'
    reasons.push(`${size} ${drift > 0 ? 'rise' : 'fall'} since the previous exchange (${show(Math.abs(drift))} times the usual spread)`)
  }
  if (highest.exchange !== exchange) reasons.push(`the worst exchange so far is ${String(highest.exchange)} (score ${show(highest.logit)})`)
  return reasons
}

function show(value: number): string {
  return value.toFixed(2).replace('-', '−')
}

function signed(value: number): string {
  return value < 0 ? show(value) : `+${show(value)}`
}
