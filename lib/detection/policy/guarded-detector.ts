// Owns the detector that adds a deployment's own policies and role drift to another detector's verdicts.
// Knows scores of policies and of role drift, not their computation.

import { sha256 } from '../../sha256.js'
import { GabionError } from '../../errors.js'
import { JsonObject } from '../../json/json-object.js'
import type { ConversationExchange, Detector } from '../detector.js'
import { textVector } from '../erosion/head.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../erosion/lexicon.js'
import { formatPolicySet } from './policy-artifact.js'
import { scorePolicy } from './policy-head.js'
import type { PolicySet } from './policy-set.js'
import { nextRole, ROLE_START, type RoleState } from './role-drift.js'
import type { DetectorVerdict, Level, RoleFinding } from '../verdict.js'

export type { RoleFinding } from '../verdict.js'

/** A policy's result for an exchange. */
export interface PolicyFinding {
  readonly policy: string
  readonly statement: string
  readonly score: number
  readonly threshold: number
  /** The score reaches the threshold. */
  readonly broken: boolean
  /** Short form of the closest example. */
  readonly nearest: string
  readonly similarity: number
}

/** The fields that policies add to a verdict. */
export interface GuardFindings {
  /** Names of the policies that the exchange breaks. */
  readonly policies: readonly string[]
  /** Every policy's result, in the order of the file. */
  readonly findings: readonly PolicyFinding[]
  /** Null where role drift is not measured, or has no reference yet. */
  readonly role: RoleFinding | null
}

/** The base detector's verdict, with level, alert and reasons updated by the policies. */
export type GuardedVerdict<Verdict extends DetectorVerdict = DetectorVerdict> = Verdict & GuardFindings

/** The state of a conversation. */
export interface GuardedState<State = unknown> {
  readonly base: State
  readonly role: RoleState
  /** Indices of the policies that the last exchange broke; they raise no new alert. */
  readonly broken: readonly number[]
  readonly drifted: boolean
}

/** Judges by policies in addition to `base`. Either raises an alert, and the reasons name the policy. */
export class GuardedDetector<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> implements Detector<
  GuardedState<State>,
  GuardedVerdict<Verdict>
> {
  readonly name: string
  readonly fingerprint: string
  readonly base: Detector<State, Verdict>
  readonly set: PolicySet
  readonly projection: Detector['projection']
  readonly embedsAhead: boolean
  readonly readsRules: boolean
  readonly windows: { readonly size: number; readonly stride: number }
  readonly #refusals: RefusalReader

  /** @throws GabionError `INVALID_ARGUMENT` for a policy without examples, if the base does not read rules */
  constructor(base: Detector<State, Verdict>, set: PolicySet, refusals = new RefusalReader(ENGLISH_REFUSALS)) {
    this.readsRules = base.readsRules ?? false
    const [statement] = set.statements
    if (statement !== undefined && !this.readsRules)
      throw new GabionError(
        'INVALID_ARGUMENT',
        `policy '${statement.name}' has no examples: its statement alone is for the guard, and the detector is '${base.name}'; add examples to 'breaks'`,
      )
    this.base = base
    this.embedsAhead = (base.embedsAhead ?? false) || needsVectors(set)
    this.set = set
    this.name = `${base.name} with policies`
    this.projection = base.projection
    this.windows = base.windows ?? set.windows
    this.#refusals = refusals
    this.fingerprint = sha256(`${base.fingerprint}${formatPolicySet(set)}`)
  }

  normalize(text: string): string {
    return this.base.normalize?.(text) ?? text
  }

  start(): GuardedState<State> {
    return { base: this.base.start(), role: ROLE_START, broken: [], drifted: false }
  }

  async judge(
    state: GuardedState<State>,
    exchange: ConversationExchange,
  ): Promise<{ verdict: GuardedVerdict<Verdict>; state: GuardedState<State> }> {
    const { verdict, state: base } = await this.base.judge(state.base, this.#withStatements(exchange))
    const named = this.#namedBy(verdict)
    const embedded = needsVectors(this.set) ? await exchange.embedded() : NOT_EMBEDDED
    const windows = embedded.assistant.windows.map(({ vector }) => vector)
    const [anyWindow] = windows
    if (anyWindow === undefined) return { verdict: { ...verdict, policies: named, findings: [], role: null }, state: { ...state, base } }
    const dimensions = anyWindow.length
    const user =
      embedded.user.windows.length === 0
        ? null
        : textVector(
            embedded.user.windows.map(({ vector }) => vector),
            dimensions,
          )
    const flags = this.#refusals.read(exchange.assistant)
    const findings = this.set.policies.map(({ name, statement, examples, head, threshold }): PolicyFinding => {
      const { score, nearest, similarity } = scorePolicy(head, { user, windows, flags })
      return {
        policy: name,
        statement,
        score,
        threshold: threshold.value,
        broken: score >= threshold.value,
        nearest: examples[nearest] ?? '',
        similarity,
      }
    })
    const step = this.set.role === null ? null : nextRole(state.role, this.set.role.prompt, user, textVector(windows, dimensions))
    const role = this.#roleFinding(step)
    const broken = findings.flatMap((finding, index) => (finding.broken ? [index] : []))
    const newlyBroken = broken.some((index) => !state.broken.includes(index))
    const drifted = role?.drifted ?? false
    const driftAlert = drifted && !state.drifted && this.set.role?.alert === true
    const level: Level =
      broken.length > 0 || (drifted && this.set.role?.alert === true)
        ? 'alert'
        : drifted && verdict.level === 'calm'
          ? 'elevated'
          : verdict.level
    return {
      verdict: {
        ...verdict,
        alert: verdict.alert || newlyBroken || driftAlert,
        level,
        reasons: [...reasonsOf(findings, role), ...verdict.reasons],
        policies: [...new Set([...named, ...findings.filter(({ broken }) => broken).map(({ policy }) => policy)])],
        findings,
        role,
      },
      state: { base, role: step?.state ?? state.role, broken, drifted },
    }
  }

  checkState(value: unknown): GuardedState<State> {
    const json = JsonObject.of(value, { source: '', code: 'ARTIFACT_INVALID', what: 'a state with policies' })
    const broken = json.list('broken')
    if (!broken.every((index) => Number.isInteger(index))) throw json.wrong('broken', 'a list of whole numbers')
    const drifted = json.boolean('drifted')
    const role = json.object('role')
    return {
      base: this.base.checkState(json.fields.base),
      role: { exchanges: role.integer('exchanges', 0), began: role.string('began'), smoothed: role.number('smoothed') },
      broken: broken as number[],
      drifted,
    }
  }

  /** Statements are rules of the deployment, before those that the caller states. */
  #withStatements(exchange: ConversationExchange): ConversationExchange {
    const { policies, statements } = this.set
    return this.readsRules
      ? { ...exchange, rules: [...[...statements, ...policies].map(({ statement }) => statement), ...exchange.rules] }
      : exchange
  }

  /** The policies whose statement is the rule that the base names. */
  #namedBy({ rule }: DetectorVerdict): string[] {
    return [...this.set.statements, ...this.set.policies].filter(({ statement }) => statement === rule).map(({ name }) => name)
  }

  #roleFinding(step: ReturnType<typeof nextRole> | null): RoleFinding | null {
    const threshold = this.set.role?.threshold.value
    if (threshold === undefined || typeof step?.distance !== 'number') return null
    return { distance: step.state.smoothed, threshold, drifted: step.state.smoothed >= threshold }
  }
}

/** Statements alone are read by the base. */
function needsVectors({ policies, role }: PolicySet): boolean {
  return policies.length > 0 || role !== null
}

const NOT_EMBEDDED = { user: { windows: [] }, assistant: { windows: [] } } as const

/** Whether a verdict has findings of policies. */
export function hasFindings<Verdict extends DetectorVerdict>(verdict: Verdict): verdict is GuardedVerdict<Verdict> {
  return 'findings' in verdict && 'role' in verdict
}

/** Policies come first, since they state the deployment's own rules. */
function reasonsOf(findings: readonly PolicyFinding[], role: RoleFinding | null): string[] {
  const broken = findings
    .filter((finding) => finding.broken)
    .sort((a, b) => b.score - b.threshold - (a.score - a.threshold))
    .map(
      ({ policy, statement, nearest, score, threshold }) =>
        `breaks '${policy}': ${statement.replace(/\.$/, '')}; closest to the example “${nearest}” (score ${score.toFixed(2)}, line ${threshold.toFixed(2)})`,
    )
  if (role?.drifted !== true) return broken
  return [
    ...broken,
    `role drift: the conversation has left the assistant's role (distance ${role.distance.toFixed(2)}, line ${role.threshold.toFixed(2)})`,
  ]
}
