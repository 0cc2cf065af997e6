// Owns the decision whether the new embedder may take the old one's place, and its reasons. Knows measures, not how they were taken.

import { GabionError } from '../errors.js'
import type { PointAgreement, SpaceAgreement } from './agreement.js'
import type { AlertAgreement } from './alerts.js'

/** What is demanded; shares and correlations from 0 to 1. */
export interface SafetyLimits {
  /** Least rank correlation of cosines. */
  spearman: number
  /** Least shared nearest neighbors. */
  neighborOverlap: number
  /** Least centered kernel alignment. */
  kernelAlignment: number
  /** Least correlation of each projected component. */
  pointCorrelation: number
  /** Least share of exchanges with the same decision. */
  alertAgreement: number
  /** Least share of the old alerts that the new one raises too. */
  alertsKept: number
  /** Fewest texts and exchanges to judge by. */
  texts: number
  exchanges: number
}

/** The limits used unless others are given. */
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

/** One thing that was looked at. */
export interface Criterion {
  /** Name for programs: a key of {@link SafetyLimits}. */
  readonly name: keyof SafetyLimits
  /** For people, such as `rank correlation of cosines`. */
  readonly what: string
  readonly value: number
  readonly limit: number
  readonly met: boolean
  /** Whether the verdict rests on it: where decisions were compared, the shape of the space only explains. */
  readonly decides: boolean
}

/** The decision. */
export interface SafetyVerdict {
  readonly safe: boolean
  /** In a sentence. */
  readonly summary: string
  /** Why, the unmet ones first. */
  readonly reasons: readonly string[]
  readonly criteria: readonly Criterion[]
}

/** What was compared: what is missing was not looked at. */
export interface Measures {
  readonly space: SpaceAgreement | null
  readonly points: PointAgreement | null
  readonly alerts: AlertAgreement | null
}

/**
 * Judges. Alerts decide where they were compared, with the projected points if there are any; without alerts the points and the
 * geometry of the vectors decide.
 *
 * @throws GabionError `INVALID_ARGUMENT` when nothing was compared
 */
export function judge({ space, points, alerts }: Measures, limits: Readonly<SafetyLimits> = DEFAULT_LIMITS): SafetyVerdict {
  if (space === null && points === null && alerts === null)
    throw new GabionError('INVALID_ARGUMENT', 'nothing was compared: give vectors, texts or transcripts')
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
    const least = points.correlations.reduce((lowest, value) => (value < lowest || Number.isNaN(value) ? value : lowest), 1)
    add('pointCorrelation', 'lowest correlation of a projected component', least, true)
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
    reasons: [...unmet, ...criteria.filter((one) => !unmet.includes(one))].map(reasonOf),
    criteria,
  }
}

const SAFE = 'Safe to switch: the new one decides as the old one does, within the limits below.'

function reasonOf({ what, value, limit, met, decides }: Criterion): string {
  const number = (x: number): string => (Number.isInteger(x) ? String(x) : x.toFixed(3))
  return `${what}: ${number(value)}, ${met ? 'at least' : 'below'} ${number(limit)}${decides ? '' : ' (explains, does not decide)'}`
}
