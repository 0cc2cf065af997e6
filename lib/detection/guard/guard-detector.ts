// Owns the guard detector: reads each exchange with the rules that matter, and keeps strength and level of the conversation.
// Knows a scorer and a first stage by their interfaces; no model, no files.

import { JsonObject } from '../../json/json-object.js'
import { foldConfusables } from '../confusables.js'
import type { ConversationExchange, Detector } from '../detector.js'
import type { BegunExchange, ReplyReading } from '../reply-reading.js'
import { LEVELS, type DetectorVerdict, type GuardSignals, type Level } from '../verdict.js'
import { isSuspicious } from './cascade.js'
import type { GuardDescription } from './description.js'
import { findCulprit, guardReasons, type Culprit } from './explain.js'
import { nextGuardLevel, PRESSED, type GuardLevelStep } from './guard-level.js'
import { GuardReading } from './guard-reading.js'
import { readableExchange } from './readable.js'
import { refusalFeatures } from './refusals.js'
import { RuleBook } from './rule-book.js'
import type { GuardInput, GuardScorer } from './scorer.js'
import { linearPart, logOdds, signalsOf } from './signals.js'
import { FULL_STRENGTH, nextStrength } from './strength.js'
import type { TermModel } from './terms.js'

/** A conversation's state: plain JSON, numbers rounded to six decimals, so that a saved one continues exactly like another. */
export interface GuardState {
  /** The first stage's; null without one. */
  readonly first: unknown
  readonly level: Level
  /** Ordinary exchanges since the last line or hold. */
  readonly quiet: number
  readonly strength: number
  /** The user's pressure at the last reading. */
  readonly pressure: number
  readonly exchanges: number
  /** Risk of the last exchange and of the one before. */
  readonly last: number
  readonly previous: number
}

/**
 * The guard's fields beyond {@link DetectorVerdict}. `likelihood` is the higher of `breaks` and `unsafe` (the first stage's where the
 * guard did not read the exchange), `risk` its log-odds, `drift` and `acceleration` its first and second differences, `cumulative` what
 * the guardrail has lost, 1 − strength. `alert` is true at the exchange that enters the level `alert`, not at those that stay in it.
 */
export interface GuardVerdict extends DetectorVerdict {
  /** Null where the cascade did not ask for the guard. */
  readonly signals: GuardSignals | null
  readonly strength: number
  readonly rule: string | null
  readonly sentence: string | null
}

/** A guard's description by its SHA-256, and the precision of its model. */
export interface GuardIdentity {
  readonly guard: string
  readonly precision: string
}

/** Parts of a {@link GuardDetector}. */
export interface GuardParts {
  readonly description: GuardDescription
  /** What lines of a deployment belong to; null for a model that is not a guard of its own. */
  readonly identity?: GuardIdentity
  readonly scorer: GuardScorer
  /** The linear part; null for a guard without one. */
  readonly terms: TermModel | null
  /** Decides with level and pressure which exchanges are read; null reads every exchange. */
  readonly first: Detector | null
  /** Hash of all that a state depends on. */
  readonly fingerprint: string
}

interface Reading {
  readonly input: GuardInput
  readonly signals: GuardSignals
  readonly pressed: number
}

/** Reads exchanges with a model that sees rules, history, message and reply. */
export class GuardDetector implements Detector<GuardState, GuardVerdict> {
  readonly name = 'guard'
  readonly readsRules: boolean
  readonly fingerprint: string
  readonly description: GuardDescription
  readonly identity: GuardIdentity | null
  readonly first: Detector | null
  readonly projection: Detector['projection']
  readonly embedsAhead: boolean
  readonly windows?: NonNullable<Detector['windows']>
  readonly #scorer: GuardScorer
  readonly #terms: TermModel | null
  readonly #rules = new RuleBook()

  constructor({ description, identity, scorer, terms, first, fingerprint }: GuardParts) {
    this.description = description
    this.identity = identity ?? null
    this.fingerprint = fingerprint
    this.first = first
    this.readsRules = description.shownRules > 0
    this.projection = first?.projection ?? null
    this.embedsAhead = first?.embedsAhead ?? false
    if (first?.windows !== undefined) this.windows = first.windows
    this.#scorer = scorer
    this.#terms = terms
  }

  /** Folds confusables to Latin letters; see `foldConfusables`. */
  normalize(text: string): string {
    return this.first?.normalize?.(text) ?? foldConfusables(text)
  }

  start(): GuardState {
    const first: unknown = this.first?.start() ?? null
    return { first, level: 'calm', quiet: 0, strength: FULL_STRENGTH, pressure: 0, exchanges: 0, last: 0, previous: 0 }
  }

  async judge(state: GuardState, exchange: ConversationExchange): Promise<{ verdict: GuardVerdict; state: GuardState }> {
    const first = this.first === null ? null : await this.first.judge(state.first, exchange)
    const readable = { ...readableExchange(exchange), history: exchange.history.map(readableExchange) }
    const disguised = readable.user !== exchange.user || readable.assistant !== exchange.assistant
    const asked = first === null || disguised || (await this.#asksFor(state, readable, first.verdict))
    const reading = asked && readable.assistant.trim() !== '' ? await this.#read(readable) : null
    const strength = reading === null ? state.strength : rounded(nextStrength(state.strength, evidenceOf(reading)))
    const evidence = { signals: reading?.signals ?? NO_SIGNALS, pressed: reading?.pressed ?? 0, strengthBefore: state.strength, strength }
    const step = nextGuardLevel(state, evidence, this.description.lines)
    const culprit = await this.#culprit(state, step, reading, exchange)
    const likelihood = reading === null ? (first?.verdict.likelihood ?? 0) : likelihoodOf(reading.signals)
    const risk = rounded(logOdds(likelihood))
    const [last, before] = state.exchanges === 0 ? [risk, risk] : [state.last, state.exchanges === 1 ? state.last : state.previous]
    const verdict: GuardVerdict = {
      alert: step.raised,
      level: step.level,
      likelihood,
      risk,
      drift: risk - last,
      acceleration: risk - last - (last - before),
      cumulative: 1 - strength,
      ratio: null,
      reasons: guardReasons({
        step,
        before: state.level,
        culprit,
        user: exchange.user,
        pressed: evidence.pressed >= PRESSED,
        strengthBefore: state.strength,
        strength,
      }),
      signals: reading?.signals ?? null,
      strength,
      rule: culprit?.rule ?? null,
      sentence: culprit?.sentence ?? null,
    }
    return {
      verdict,
      state: {
        first: first?.state ?? null,
        level: step.level,
        quiet: step.quiet,
        strength,
        pressure: reading === null ? state.pressure : rounded(reading.pressed),
        exchanges: state.exchanges + 1,
        last: risk,
        previous: last,
      },
    }
  }

  /** Reads every reply, also where the cascade would not ask for it. */
  beginReply(exchange: BegunExchange): ReplyReading {
    return new GuardReading({ description: this.description, scorer: this.#scorer, terms: this.#terms, rules: this.#rules }, exchange)
  }

  checkState(value: unknown): GuardState {
    const json = JsonObject.of(value, { source: '', code: 'ARTIFACT_INVALID', what: 'a state of the guard' })
    return { ...readCore(json), first: this.first === null ? null : this.first.checkState(json.fields.first) }
  }

  /** Continues conversations of the first stage alone, and of a guard with another model or mode: level and strength keep their meaning. */
  adopt({ name, fingerprint, state }: { readonly name: string; readonly fingerprint: string; readonly state: unknown }): GuardState | null {
    const json = JsonObject.of(state, { source: '', code: 'ARTIFACT_INVALID', what: `a state of ${name}` })
    if (name === this.name) return { ...readCore(json), first: this.first?.start() ?? null }
    if (name !== 'erosion') return null
    const first: unknown =
      this.first === null ? null : fingerprint === this.first.fingerprint ? this.first.checkState(state) : this.first.start()
    return { ...this.start(), first, level: json.oneOf('level', LEVELS) }
  }

  /** Releases the model. */
  dispose(): void {
    this.#scorer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  async #asksFor(state: GuardState, exchange: ConversationExchange, first: DetectorVerdict): Promise<boolean> {
    const { user, assistant } = await exchange.embedded()
    const vectors = [...user.windows, ...assistant.windows].map(({ vector }) => vector)
    const replies = [exchange.assistant, ...exchange.history.map(({ assistant: reply }) => reply)]
    const suspicion = {
      first,
      level: state.level,
      pressure: state.pressure,
      refused: replies.some((reply) => refusalFeatures(reply)[1] === 1),
      closeness: await this.#rules.closeness(exchange, vectors),
    }
    return isSuspicious(suspicion, this.description.cascade)
  }

  async #read(exchange: ConversationExchange): Promise<Reading> {
    const { user, assistant: reply, history, signal } = exchange
    const { description } = this
    const input = { rules: this.readsRules ? await this.#rules.shown(exchange, description.shownRules) : [], history, user, reply }
    const [logits] = await this.#scorer.score([input], { signal })
    const flags = refusalFeatures(reply)
    const found = signalsOf(description, { logits: logits!, flags, terms: linearPart(this.#terms, description, user, reply) })
    // Nobody presses without words.
    const signals = user.trim() === '' && found.pressure !== null ? { ...found, pressure: 0 } : found
    // A guard that cannot tell pressure takes a refusal as its sign: what is declined was asked for against the rules.
    return { input, signals, pressed: signals.pressure ?? flags[0] }
  }

  async #culprit(
    state: GuardState,
    step: GuardLevelStep,
    reading: Reading | null,
    { assistant, signal }: ConversationExchange,
  ): Promise<Culprit | null> {
    const rises = LEVELS.indexOf(step.level) > LEVELS.indexOf(state.level)
    if (!rises || reading === null || step.reached === null) return null
    const { rule, sentence } = await findCulprit(this.#scorer, this.#terms, this.description, reading.input, step.reached.by, signal)
    // Quoted as it was written, unless places in the text that was read are others.
    const { reply } = reading.input
    const quoted = reply.length === assistant.length ? assistant : reply
    return { rule, sentence: sentence === null ? null : quoted.slice(sentence.start, sentence.end).trim() }
  }
}

const NO_SIGNALS: GuardSignals = { unsafe: null, breaks: null, wavers: null, complies: null, pressure: null }

/** An unsafe reply breaks the guardrail whatever the rules say; a break is also a wavering. */
function evidenceOf({ signals, pressed }: Reading): Parameters<typeof nextStrength>[1] {
  const breaks = likelihoodOf(signals)
  return { pressed, breaks, wavers: Math.max(breaks, signals.wavers ?? 0) }
}

function likelihoodOf({ breaks, unsafe }: GuardSignals): number {
  return Math.max(breaks ?? 0, unsafe ?? 0)
}

function readCore(json: JsonObject): Omit<GuardState, 'first'> {
  const strength = json.number('strength')
  if (strength < 0 || strength > 1) throw json.wrong('strength', 'from 0 to 1')
  return {
    level: json.oneOf('level', LEVELS),
    quiet: json.integer('quiet', 0),
    strength,
    pressure: json.number('pressure'),
    exchanges: json.integer('exchanges', 0),
    last: json.number('last'),
    previous: json.number('previous'),
  }
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}
