// Owns the decision whether the new embedder may replace the old one, and its reasons. Knows measures, not how they are computed.

import { wrongType } from '../errors.js'
import type { PointAgreement, SpaceAgreement } from './agreement.js'
import type { AlertAgreement } from './alerts.js'

/** Limits to meet; fractions and correlations from 0 to 1. */
export interface SafetyLimits {
  /** Minimum rank correlation of cosines. */
  spearman: number
  /** Minimum fraction of shared nearest neighbors. */
  neighborOverlap: number
  /** Minimum centered kernel alignment. */
  kernelAlignment: number
  /** Minimum correlation of each projected component. */
  pointCorrelation: number
  /** Minimum fraction of exchanges with the same decision. */
  alertAgreement: number
  /** Minimum fraction of the old alerts that the new one raises too. */
  alertsKept: number
  /** Minimum of texts and exchanges for a verdict. */
  texts: number
  exchanges: number
}

/** The default limits. */
export const DEFAULT_LIMITS: Readonly<SafetyLimits> = {
  spearman: 0.9,
  neighborOverlap: 0.6,
  kernelAlignment: 0.9,
  pointCorrelation: 0.95,
  alertAgreement: 0.98,
  alertsKept: 0.95,
  texts: 100,
  exchanges: 50,
}

/** One measure with its limit. */
export interface Criterion {
  readonly name: keyof SafetyLimits
  /** Description, such as `rank correlation of cosines`. */
  readonly what: string
  readonly value: number
  readonly limit: number
  readonly met: boolean
  /** Whether it decides: if alerts were compared, the geometry of the space only explains. */
  readonly decides: boolean
}

/** The decision. */
export interface SafetyVerdict {
  readonly safe: boolean
  /** One sentence. */
  readonly summary: string
  /** The criteria as text, unmet ones first. */
  readonly reasons: readonly string[]
  readonly criteria: readonly Criterion[]
}

/** The comparisons; null if not made. */
export interface Measures {
  readonly space: SpaceAgreement | null
  readonly points: PointAgreement | null
  readonly alerts: AlertAgreement | null
}

/**
 * Decides by alerts and projected vectors if alerts were compared; without alerts, by projected vectors and the geometry of the
 * vectors.
 *
 * @throws GabionError `INVALID_ARGUMENT` when nothing was compared
 */
export function judge({ space, points, alerts }: Measures, limits: Readonly<SafetyLimits> = DEFAULT_LIMITS): SafetyVerdict {
  if (space === null && points === null && alerts === null) throw wrongType('nothing was compared: give vectors, texts or transcripts')
  const criteria: Criterion[] = []
  const add = (name: keyof SafetyLimits, what: string, value: number, decides: boolean): void => {
    criteria.push({ name, what, value, limit: limits[name], met: value >= limits[name], decides })
  }
  if (alerts !== null) {
    const old = alerts.both + alerts.onlyOld
    add('exchanges', 'exchanges compared', alerts.exchanges, true)
    add(
      'alertAgreement',
      'share of exchanges with the same decision',
      alerts.exchanges === 0 ? 0 : alerts.agreeing / alerts.exchanges,
      true,
    )
    if (old > 0) add('alertsKept', 'share of the old alerts that the new one raises', alerts.both / old, true)
  }
  if (points !== null) {
    const lowest = points.correlations.reduce((lowest, value) => (value < lowest || Number.isNaN(value) ? value : lowest), 1)
    add('pointCorrelation', 'lowest correlation of a projected component', lowest, true)
  }
  if (space !== null) {
    const decides = alerts === null
    add('texts', 'texts compared', space.texts, decides)
    add('spearman', 'rank correlation of cosines', space.spearman, decides)
    add('neighborOverlap', `shared among the ${String(space.neighbors)} nearest texts`, space.neighborOverlap, decides)
    add('kernelAlignment', 'centered kernel alignment', space.kernelAlignment, decides)
  }
  const deciding = criteria.filter(({ decides }) => decides)
  const unmet = deciding.filter(({ met }) => !met)
  const safe = unmet.length === 0
  return {
    safe,
    summary: safe ? SAFE : `Not safe to switch: ${unmet.map(({ what }) => what).join(', ')} ${unmet.length === 1 ? 'is' : 'are'} too low.`,
    reasons: [...unmet, ...criteria.filter((criterion) => !unmet.includes(criterion))].map(reasonOf),
    criteria,
  }
}

const SAFE = 'Safe to switch: the new one agrees with the old one within the limits below.'

function reasonOf({ what, value, limit, met, decides }: Criterion): string {
  const number = (x: number): string => (Number.isInteger(x) ? String(x) : x.toFixed(3))
  return `${what}: ${number(value)}, ${met ? 'at least' : 'below'} ${number(limit)}${decides ? '' : ' (explains, does not decide)'}`
}
