// Owns what a verdict is: its types, the copy without a detector's own fields, and its row in a table, both by the schema. A test compares
// gabion.proto with that. Knows no detector. Imports nothing of Node, since detectors also run in browsers.

import { exchangeVerdictSchema } from './verdict-schema.js'

/** Levels of concern after an exchange, lowest first. */
export const LEVELS = ['calm', 'elevated', 'alert'] as const

/** A detector's concern after an exchange: `calm`, `elevated` or `alert`. */
export type Level = (typeof LEVELS)[number]

/** Role drift at one exchange. */
export interface RoleFinding {
  /** Distance from the system prompt and the first exchanges, smoothed over exchanges; 0 to 2. */
  readonly distance: number
  readonly threshold: number
  /** The distance reaches the threshold. */
  readonly drifted: boolean
}

/** Calibrated probabilities of the guard at one exchange; null for a signal that it does not have. */
export interface GuardSignals {
  /** The reply does harm whatever the rules say. */
  readonly unsafe: number | null
  /** The reply breaks a rule. */
  readonly breaks: number | null
  /** The reply breaks a rule, or visibly gives way. */
  readonly wavers: number | null
  /** The reply does what the user asked for. */
  readonly complies: number | null
  /** The user's message pushes against the rules. */
  readonly pressure: number | null
}

/** The answer of a deployment's own model on an exchange. */
export interface JudgeFinding {
  /** Whether the reply breaks a rule; null where the judge gave no answer. */
  readonly breaks: boolean | null
  /** The judge's reason, or why there is no answer. */
  readonly reason: string
  readonly model: string
  readonly durationMs: number
  /** What was sent, as the endpoint counts it; absent where it does not. */
  readonly promptTokens?: number | null
  /** What it answered. */
  readonly completionTokens?: number | null
}

/** Durations of the steps of one exchange, in milliseconds. The first four are summed over the two texts, which may run at the same time. */
export interface ExchangeTimings {
  readonly tokenizeMs: number
  /** Waiting for an encoder thread. */
  readonly queueMs: number
  readonly encodeMs: number
  readonly projectMs: number
  readonly detectMs: number
  /** From the call to the verdict, waiting for earlier exchanges included. */
  readonly totalMs: number
}

/** The fields that every detector reports per exchange. Every number depends on this exchange and earlier ones only. */
export interface DetectorVerdict {
  /** The detector's decision at this exchange. */
  readonly alert: boolean
  /** How worried the detector is after this exchange; stays until later exchanges calm it. */
  readonly level: Level
  /** The detector's score from 0 to 1: relative, not a probability of harm. */
  readonly likelihood: number
  /** How far this reply is from safe ground, in the detector's own unit. */
  readonly risk: number
  /** Change of risk since the previous exchange. */
  readonly drift: number
  /** Change of drift since the previous exchange. */
  readonly acceleration: number
  /** Risk accumulated over the conversation. */
  readonly cumulative: number
  /** Accumulated risk of the replies over that of the user's messages; null where a detector has no such measure. */
  readonly ratio: number | null
  /** Why, in short phrases for a person; empty when there is nothing to say. */
  readonly reasons: readonly string[]
  /** With policies only: names of those that this exchange breaks. */
  readonly policies?: readonly string[]
  readonly role?: RoleFinding | null
  readonly signals?: GuardSignals | null
  /** With the guard only: the guardrail's strength from 1 to 0, how the assistant behaves when it is pressed. */
  readonly strength?: number | null
  /** With the guard, where the level rises: the rule that is likely broken. */
  readonly rule?: string | null
  /** With the guard, where the level rises: the sentence of the reply that carries it. */
  readonly sentence?: string | null
  readonly judge?: JudgeFinding | null
}

interface ExchangeIdentity {
  /** The conversation's id. */
  readonly conversation: string
  /** Counts exchanges from 1. */
  readonly exchange: number
  /** The caller's own name of the exchange; null where it gave none. */
  readonly exchangeId: string | null
  /** A text was longer than the model reads and was cut. */
  readonly truncated: boolean
  readonly timings: ExchangeTimings
  /** When it was judged, ISO 8601. */
  readonly at: string
}

/**
 * The verdict on one exchange of a conversation: the detector's verdict, its own fields beyond {@link DetectorVerdict} included, with
 * the exchange's identity and timings.
 */
export type ExchangeVerdict<Verdict extends DetectorVerdict = DetectorVerdict> = Verdict & ExchangeIdentity

/** A copy with the schema's fields in the schema's order, and no others. */
export function toExchangeVerdict(verdict: ExchangeVerdict): ExchangeVerdict {
  return copyOf(exchangeVerdictSchema, verdict) as ExchangeVerdict
}

/** The columns of a table of verdicts: the schema's field names, with nested ones as `timings.totalMs`. */
export const VERDICT_COLUMNS: readonly string[] = columnsOf(exchangeVerdictSchema)

/** A table cell. */
export type VerdictValue = string | number | boolean | readonly string[] | null | undefined

/** A verdict's values in the order of {@link VERDICT_COLUMNS}; undefined for absent ones. */
export function verdictRow(verdict: ExchangeVerdict): VerdictValue[] {
  return VERDICT_COLUMNS.map((column) => {
    const step = (value: unknown, name: string): unknown => (value as Readonly<Record<string, unknown>> | null | undefined)?.[name]
    return column.split('.').reduce(step, verdict) as VerdictValue
  })
}

/** The fields of an object schema, nullable ones included; undefined for other schemas. */
function fieldsOf(schema: object): Readonly<Record<string, object>> | undefined {
  const { properties, anyOf } = schema as { properties?: Record<string, object>; anyOf?: object[] }
  return properties ?? anyOf?.map(fieldsOf).find((fields) => fields !== undefined)
}

function copyOf(schema: object, value: unknown): unknown {
  if (Array.isArray(value)) return [...(value as unknown[])]
  const fields = fieldsOf(schema)
  if (fields === undefined || typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(fields)) {
    const field = (value as Readonly<Record<string, unknown>>)[name]
    if (field !== undefined) copy[name] = copyOf(part, field)
  }
  return copy
}

function columnsOf(schema: object, path = ''): string[] {
  return Object.entries(fieldsOf(schema) ?? {}).flatMap(([name, part]) =>
    fieldsOf(part) === undefined ? [`${path}${name}`] : columnsOf(part, `${path}${name}.`),
  )
}
