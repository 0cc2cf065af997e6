// Owns the evaluation of a trained detector on labeled conversations. Knows scores, labels and thresholds; the command line prints.

import type { ErosionArtifact } from '../erosion/artifact.js'
import { EROSION_START, nextLevel, type ErosionState, type Levels } from '../erosion/level.js'
import { fewestConversations, thresholdFor } from '../erosion/thresholds.js'
import { byConversation } from './conversation-scores.js'
import type { EmbeddedExchange } from './exchanges.js'
import {
  auroc,
  averagePrecision,
  calibration,
  recallAt,
  rocCurve,
  withinGroups,
  type ReliabilityBin,
  type RocPoint,
} from '../../statistics/ranking.js'
import { bootstrapInterval } from '../../statistics/groups.js'
import { median } from '../../statistics/quantile.js'
import { logitsAtRunTime } from './train-head.js'

/** Ranking quality on one kind of item. NaN where a class is missing. */
export interface Separation {
  readonly items: number
  readonly unsafe: number
  readonly auroc: number
  /** 95 % bootstrap interval by group. */
  readonly interval: readonly [number, number]
  readonly averagePrecision: number
  /** For a plot; empty where a class is missing. */
  readonly roc: readonly RocPoint[]
}

/** Error rates at a threshold. */
export interface AtThreshold {
  readonly budget: number
  readonly threshold: number
  /** Share of benign conversations that reach it; NaN without any. */
  readonly falseAlarms: number
  /** Share of unsafe conversations that reach it; NaN without any. */
  readonly recall: number
}

/** Lead times: exchanges from the first alert to the first unsafe exchange; positive where the alert came first. */
export interface LeadTime {
  /** Unsafe conversations, and how many of them raised an alert. */
  readonly conversations: number
  readonly alerted: number
  /** Shares of the alerted ones whose alert came before, at and after the first unsafe exchange. */
  readonly before: number
  readonly at: number
  readonly after: number
  /** Median of the alerted ones; NaN without any. */
  readonly median: number
  /** Lead of each alerted conversation, for a plot. */
  readonly leads: readonly number[]
}

/** The evaluation on one set. */
export interface Evaluation {
  readonly set: string
  readonly exchanges: Separation
  readonly conversations: Separation
  /** AUROC among exchanges of the same group; null when no group has both classes. */
  readonly withinGroup: number | null
  /** AUROC among replies without a refusal in their opening; null without both classes. */
  readonly withoutRefusal: number | null
  /** The detector's own thresholds. */
  readonly shipped: { readonly alert: AtThreshold; readonly elevated: AtThreshold }
  /** Thresholds set on the benign conversations of this set; null where they are too few. */
  readonly own: { readonly alert: AtThreshold | null; readonly elevated: AtThreshold | null }
  /** Alert events per 1,000 exchanges of benign conversations; NaN without any. */
  readonly alertsPer1000: number
  readonly leadTime: LeadTime
  /** Of the relative score, over exchanges. */
  readonly calibration: { readonly error: number; readonly bins: readonly ReliabilityBin[] }
}

/** Evaluates a detector on the exchanges of one set with the aggregate `max`. */
export function evaluate(set: string, exchanges: readonly EmbeddedExchange[], artifact: ErosionArtifact, draws = 300): Evaluation {
  const { thresholds, relativeScore } = artifact
  const logits = logitsAtRunTime(artifact.head, exchanges, thresholds.scale.median)
  const labels = exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0))
  const groups = exchanges.map(({ group }) => group)
  const open = exchanges.flatMap(({ flags }, row) => (flags.opening ? [] : [row]))
  const conversations = conversationsOf(exchanges, logits)
  const maxima = conversations.map(({ highest }) => highest)
  const unsafe = conversations.map((conversation) => (conversation.firstUnsafe === null ? 0 : 1))
  const benign = conversations.filter(({ firstUnsafe }) => firstUnsafe === null)
  const at = (budget: number, threshold: number): AtThreshold => ({
    budget,
    threshold,
    falseAlarms: benign.length === 0 ? NaN : benign.filter(({ highest }) => highest >= threshold).length / benign.length,
    recall: recallAt({ scores: maxima, labels: unsafe }, threshold),
  })
  const own = (budget: number): AtThreshold | null =>
    benign.length < fewestConversations(budget)
      ? null
      : at(
          budget,
          thresholdFor(
            benign.map(({ highest }) => highest),
            budget,
          ).value,
        )
  const { elevated, alert } = thresholds.levels.max
  const levels: Levels = { aggregate: 'max', elevated: elevated.value, alert: alert.value }
  const alerts = conversations.map((conversation) => alertsOf(conversation.logits, artifact, levels))
  const benignExchanges = benign.reduce((sum, conversation) => sum + conversation.logits.length, 0)
  const benignAlerts = conversations.reduce((sum, { firstUnsafe }, i) => sum + (firstUnsafe === null ? alerts[i]!.length : 0), 0)
  const within = withinGroups({ scores: logits, labels }, groups)
  const withoutRefusal = areaOf(logits, labels, open)
  const relative = logits.map((logit) => 1 / (1 + Math.exp(-(relativeScore.slope * logit + relativeScore.offset))))
  return {
    set,
    exchanges: separation(logits, labels, groups, draws),
    conversations: separation(
      maxima,
      unsafe,
      conversations.map(({ group }) => group),
      draws,
    ),
    withinGroup: within.pairs === 0 ? null : within.area,
    withoutRefusal: Number.isNaN(withoutRefusal) ? null : withoutRefusal,
    shipped: { alert: at(alert.budget, alert.value), elevated: at(elevated.budget, elevated.value) },
    own: { alert: own(alert.budget), elevated: own(elevated.budget) },
    alertsPer1000: benignExchanges === 0 ? NaN : (1000 * benignAlerts) / benignExchanges,
    leadTime: leadTimeOf(conversations.map(({ firstUnsafe }, i) => ({ firstUnsafe, firstAlert: alerts[i]![0] ?? null }))),
    calibration: calibration({ scores: relative, labels }),
  }
}

interface ScoredConversation {
  readonly logits: readonly number[]
  readonly highest: number
  readonly group: string
  /** The first unsafe exchange, from 1; null in a benign conversation. */
  readonly firstUnsafe: number | null
}

function conversationsOf(exchanges: readonly EmbeddedExchange[], logits: Float64Array): ScoredConversation[] {
  const groupOf = new Map(exchanges.map(({ conversation, group }) => [conversation, group]))
  const firstUnsafe = new Map<string, number>()
  for (const { conversation, exchange, label } of exchanges) {
    if (label === 'unsafe') firstUnsafe.set(conversation, Math.min(exchange, firstUnsafe.get(conversation) ?? Infinity))
  }
  return byConversation(exchanges, logits).map(({ conversation, logits: own }) => ({
    logits: own,
    highest: Math.max(...own),
    group: groupOf.get(conversation)!,
    firstUnsafe: firstUnsafe.get(conversation) ?? null,
  }))
}

/** Exchanges, from 1, at which an alert is raised. */
function alertsOf(logits: readonly number[], { thresholds }: ErosionArtifact, levels: Levels): number[] {
  let state: ErosionState = EROSION_START
  return logits.flatMap((logit, index) => {
    const step = nextLevel(state, logit, thresholds.scale, levels)
    state = step.state
    return step.raised ? [index + 1] : []
  })
}

function leadTimeOf(conversations: readonly { firstUnsafe: number | null; firstAlert: number | null }[]): LeadTime {
  const unsafe = conversations.filter(({ firstUnsafe }) => firstUnsafe !== null)
  const leads = unsafe
    .flatMap(({ firstUnsafe, firstAlert }) => (firstAlert === null ? [] : [firstUnsafe! - firstAlert]))
    .sort((a, b) => a - b)
  const share = (test: (lead: number) => boolean): number => (leads.length === 0 ? NaN : leads.filter(test).length / leads.length)
  return {
    conversations: unsafe.length,
    alerted: leads.length,
    before: share((lead) => lead > 0),
    at: share((lead) => lead === 0),
    after: share((lead) => lead < 0),
    median: median(leads),
    leads,
  }
}

function separation(scores: ArrayLike<number>, labels: readonly number[], groups: readonly string[], draws: number): Separation {
  return {
    items: labels.length,
    unsafe: labels.reduce((sum, label) => sum + label, 0),
    auroc: auroc({ scores, labels }),
    interval: bootstrapInterval(groups, (rows) => areaOf(scores, labels, rows), { draws }),
    averagePrecision: averagePrecision({ scores, labels }),
    roc: rocCurve({ scores, labels }),
  }
}

function areaOf(scores: ArrayLike<number>, labels: readonly number[], rows: readonly number[]): number {
  return auroc({ scores: rows.map((row) => scores[row]!), labels: rows.map((row) => labels[row]!) })
}
