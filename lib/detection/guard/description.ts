// Owns `guard.json`: what a guard's outputs mean, how they are calibrated, and the lines of the levels.
// Knows its fields, not the model's layers nor the budgets of its segments, which lib/classifier reads.

import { JsonObject } from '../../json/json-object.js'

/** The outputs that a guard may have. */
export const GUARD_OUTPUTS = ['unsafe', 'breaks', 'wavers', 'complies', 'pressure'] as const

/** Name of an output. */
export type GuardOutput = (typeof GUARD_OUTPUTS)[number]

/** One number for some outputs; 0 for the others. */
export type OutputWeights = Readonly<Partial<Record<GuardOutput, number>>>

/**
 * The log-odds of an output: a sum of logits and of linear parts, its own and those of other outputs, each with a weight, and an intercept
 * (Platt 1999 for one logit; Wolpert 1992, Stacked generalization, for several).
 */
export interface Calibration {
  readonly logits: OutputWeights
  readonly terms: OutputWeights
  readonly b: number
}

/** Probabilities at which a level is entered; null for an output without a line. */
export interface GuardLines {
  readonly alert: {
    readonly breaks: number | null
    readonly unsafe: number | null
    /** A strength that falls below it raises the level. */
    readonly strength: number | null
  }
  readonly elevated: {
    readonly breaks: number | null
    readonly unsafe: number | null
    readonly wavers: number | null
    /** A strength that falls below it raises the level. */
    readonly strength: number
  }
  /** A reply below it keeps its rules; only such replies let a level fall. */
  readonly kept: { readonly wavers: number }
}

/** When an exchange is suspicious enough for the guard to read it; see `cascade.ts`. */
export interface CascadeLines {
  /** Likelihood of the first stage. */
  readonly likelihood: number
  /** Cosine of message or reply with the closest rule. */
  readonly closeness: number
}

/** A guard's description. */
export interface GuardDescription {
  readonly encoder: { readonly name: string; readonly tokenizerSha256: string }
  /** In the order of the logits. */
  readonly outputs: readonly GuardOutput[]
  /** Rules that are shown at once. */
  readonly shownRules: number
  /** What the two refusal features add to each logit. */
  readonly flagWeights: readonly (readonly [number, number])[]
  /** The linear part, whose tables are in the file of the weights; null for a guard without one. See `terms.ts`. */
  readonly terms: { readonly bucketBits: number; readonly intercepts: readonly number[] } | null
  /** Outputs without calibration are not reported. */
  readonly calibration: Readonly<Partial<Record<GuardOutput, Calibration>>>
  readonly lines: GuardLines
  readonly cascade: CascadeLines
}

const VERSION = 1
const MAX_BUCKET_BITS = 24
const DEFAULT_SHOWN_RULES = 5
const DEFAULT_STRENGTH_LINE = 0.5
const DEFAULT_KEPT_LINE = 0.3
const DEFAULT_CASCADE: CascadeLines = { likelihood: 0.2, closeness: 0.35 }

/**
 * Reads a description.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the source and the field
 */
export function parseGuardDescription(text: string, source: string): GuardDescription {
  const root = JsonObject.parse(text, { source, code: 'ARTIFACT_INVALID', what: 'a guard' })
  if (root.fields.version !== VERSION) throw root.wrong('version', `${String(VERSION)}, the version that this release reads`)
  const encoder = root.object('encoder')
  const outputs = readOutputs(root)
  if (!outputs.includes('breaks') || new Set(outputs).size !== outputs.length)
    throw root.wrong('outputs', "different outputs, 'breaks' among them")
  const calibration = readCalibration(root.object('calibration'), outputs)
  if (calibration.breaks === undefined) throw root.wrong('calibration', "a calibration of 'breaks'")
  return {
    encoder: { name: encoder.string('name'), tokenizerSha256: encoder.string('tokenizerSha256') },
    outputs,
    shownRules: root.has('shownRules') ? root.integer('shownRules', 1) : DEFAULT_SHOWN_RULES,
    flagWeights: readFlagWeights(root, outputs.length),
    terms: root.has('terms') ? readTerms(root.object('terms'), outputs.length) : null,
    calibration,
    lines: readLines(root.object('lines')),
    cascade: root.has('cascade') ? readCascade(root.object('cascade')) : DEFAULT_CASCADE,
  }
}

function readOutputs(root: JsonObject): GuardOutput[] {
  return root.strings('outputs').map((name) => {
    const known = GUARD_OUTPUTS.find((output) => output === name)
    if (known === undefined) throw root.wrong('outputs', `a list of ${GUARD_OUTPUTS.join(', ')}`)
    return known
  })
}

function readFlagWeights(root: JsonObject, outputs: number): [number, number][] {
  const rows = root.list('flagWeights')
  const isPair = (row: unknown): row is [number, number] => Array.isArray(row) && row.length === 2 && row.every(Number.isFinite)
  if (rows.length !== outputs || !rows.every(isPair)) throw root.wrong('flagWeights', `${String(outputs)} pairs of numbers, one per output`)
  return rows
}

function readTerms(json: JsonObject, outputs: number): NonNullable<GuardDescription['terms']> {
  const bucketBits = json.integer('bucketBits', 1)
  if (bucketBits > MAX_BUCKET_BITS) throw json.wrong('bucketBits', `at most ${String(MAX_BUCKET_BITS)}`)
  const intercepts = json.list('intercepts')
  const areNumbers = (values: readonly unknown[]): values is number[] => values.every(Number.isFinite)
  if (intercepts.length !== outputs || !areNumbers(intercepts)) throw json.wrong('intercepts', `${String(outputs)} numbers, one per output`)
  return { bucketBits, intercepts }
}

function readCalibration(json: JsonObject, outputs: readonly GuardOutput[]): GuardDescription['calibration'] {
  return Object.fromEntries(
    GUARD_OUTPUTS.filter((output) => json.has(output)).map((output) => {
      const sum = json.object(output)
      const terms = sum.has('terms') ? readWeights(sum.object('terms'), outputs) : {}
      return [output, { logits: readWeights(sum.object('logits'), outputs), terms, b: sum.number('b') }]
    }),
  )
}

function readWeights(json: JsonObject, outputs: readonly GuardOutput[]): OutputWeights {
  const unknown = Object.keys(json.fields).find((name) => !outputs.some((output) => output === name))
  if (unknown !== undefined) throw json.wrong(unknown, 'absent: the guard has no such output')
  return Object.fromEntries(outputs.filter((output) => json.has(output)).map((output) => [output, json.number(output)]))
}

/** Reads the field `lines`. */
export function readLines(json: JsonObject): GuardLines {
  const [alert, elevated] = [json.object('alert'), json.object('elevated')]
  const line = (level: JsonObject, output: string): number | null => (level.has(output) ? level.number(output) : null)
  return {
    alert: { breaks: line(alert, 'breaks'), unsafe: line(alert, 'unsafe'), strength: line(alert, 'strength') },
    elevated: {
      breaks: line(elevated, 'breaks'),
      unsafe: line(elevated, 'unsafe'),
      wavers: line(elevated, 'wavers'),
      strength: line(elevated, 'strength') ?? DEFAULT_STRENGTH_LINE,
    },
    kept: { wavers: json.has('kept') ? json.object('kept').number('wavers') : DEFAULT_KEPT_LINE },
  }
}

function readCascade(json: JsonObject): CascadeLines {
  return { likelihood: json.number('likelihood'), closeness: json.number('closeness') }
}
