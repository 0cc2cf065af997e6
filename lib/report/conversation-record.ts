// Owns the input of a conversation's report: verdicts, the detector's thresholds, texts only on request. Knows verdicts, no drawing.

import { ClassicDetector } from '../detection/classic.js'
import type { Level, Detector } from '../detection/detector.js'
import { EscalatingDetector } from '../detection/escalation/escalating-detector.js'
import { GuardedDetector } from '../detection/policy/guarded-detector.js'
import { GuardDetector, type GuardVerdict } from '../detection/guard/guard-detector.js'
import { ErosionDetector, type ErosionVerdict } from '../detection/erosion/erosion.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import type { ConversationSummary } from '../monitor/watch.js'

/** Texts of one exchange. */
export interface ExchangeTexts {
  readonly user: string
  readonly assistant: string
}

/** A judged conversation. */
export interface ConversationRecord {
  readonly summary: ConversationSummary
  readonly exchanges: readonly ExchangeVerdict[]
  /** Texts of each exchange; null omits them from the report. */
  readonly texts: readonly ExchangeTexts[] | null
}

/** Facts about the run in a report. */
export interface ReportFacts {
  readonly detector: string
  /** Null if the detector does not compare likelihoods. */
  readonly lines: LevelLines | null
  /** Line of the guardrail's strength; null without one. */
  readonly strengthLine?: number | null
  /** Source of the thresholds; may be empty. */
  readonly source: string
  /** Model, precision and machine, as text. */
  readonly engine: string
}

/** Likelihood thresholds of the levels. */
export interface LevelLines {
  readonly elevated: number
  readonly alert: number
}

/** The facts of a detector; a custom detector has no thresholds. */
export function factsOf(detector: Detector<never> | Detector, engine: string): ReportFacts {
  if (detector instanceof GuardedDetector) {
    const facts = factsOf(detector.base, engine)
    const names = [...detector.set.statements, ...detector.set.policies].map(({ name }) => name).join(', ')
    return { ...facts, source: `${facts.source} Policies: ${names}.` }
  }
  if (detector instanceof EscalatingDetector) return factsOf(detector.base, engine)
  if (detector instanceof GuardDetector) {
    const { alert, elevated } = detector.description.lines
    return {
      detector: detector.name,
      lines: alert.breaks === null || elevated.breaks === null ? null : { alert: alert.breaks, elevated: elevated.breaks },
      strengthLine: elevated.strength,
      source: 'Lines set on conversations under pressure in which no rule was broken.',
      engine,
    }
  }
  if (detector instanceof ErosionDetector) {
    const { slope, offset } = detector.artifact.relativeScore
    const { elevated, alert } = detector.thresholds.levels.max
    const likelihood = (logit: number): number => 1 / (1 + Math.exp(-(slope * logit + offset)))
    const lines = detector.aggregate === 'max' ? { elevated: likelihood(elevated.value), alert: likelihood(alert.value) } : null
    return {
      detector: detector.name,
      lines,
      source: `Thresholds calibrated on ${detector.thresholds.source}: ${share(alert.budget)} of those conversations may raise an alert, ${share(elevated.budget)} may become elevated.`,
      engine,
    }
  }
  if (detector instanceof ClassicDetector) {
    const { elevated, alert } = detector.thresholds
    return { detector: detector.name, lines: { elevated, alert }, source: 'Thresholds as published for the classic detector.', engine }
  }
  return { detector: detector.name, lines: null, source: '', engine }
}

function share(budget: number): string {
  return `${String(Number((100 * budget).toPrecision(3)))} %`
}

/** The verdict with the erosion detector's explanation; null for other detectors. */
export function asErosion(verdict: ExchangeVerdict): ExchangeVerdict<ErosionVerdict> | null {
  return 'contributions' in verdict && 'anchors' in verdict ? (verdict as ExchangeVerdict<ErosionVerdict>) : null
}

/** The verdict with the guard's strength; null for other detectors. */
export function asGuard(verdict: ExchangeVerdict): ExchangeVerdict<GuardVerdict> | null {
  return typeof verdict.strength === 'number' ? (verdict as ExchangeVerdict<GuardVerdict>) : null
}

/**
 * The exchange to look at first: the first alert, else the first elevated one, else the one with the highest likelihood; null for a
 * conversation without exchanges.
 */
export function keyExchange(exchanges: readonly ExchangeVerdict[]): ExchangeVerdict | null {
  return (
    exchanges.find(({ alert }) => alert) ??
    exchanges.find(({ level }) => level !== 'calm') ??
    exchanges.reduce<ExchangeVerdict | null>(
      (worst, exchange) => (worst === null || exchange.likelihood > worst.likelihood ? exchange : worst),
      null,
    )
  )
}

/** Orders conversations by alerts, then by highest likelihood. */
export function bySeverity(a: ConversationSummary, b: ConversationSummary): number {
  return Math.sign(b.alerts) - Math.sign(a.alerts) || (b.highest?.likelihood ?? -1) - (a.highest?.likelihood ?? -1)
}

/** The highest level of a conversation; an alert counts even if the level is left at once. */
export function worstLevel(exchanges: readonly ExchangeVerdict[]): Level {
  if (exchanges.some(({ alert, level }) => alert || level === 'alert')) return 'alert'
  return exchanges.some(({ level }) => level === 'elevated') ? 'elevated' : 'calm'
}
