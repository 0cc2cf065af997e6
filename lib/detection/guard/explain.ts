// Owns the explanation of a level that rises: the rule that is likely broken, the sentence of the reply that carries it, and the reasons
// in words. Figures are in parentheses, so that a view with columns of its own can leave them out.

import type { Level } from '../verdict.js'
import type { GuardDescription } from './description.js'
import { ORDINARY_EXCHANGES, type GuardLevelStep, type ReachedLine } from './guard-level.js'
import { refusalFeatures } from './refusals.js'
import type { GuardInput, GuardScorer } from './scorer.js'
import { linearPart, logOddsOf, type GuardPass } from './signals.js'
import type { TermModel } from './terms.js'

/** Sentences of a reply that are tried; of a longer reply, the first. */
const MAX_SENTENCES = 24
const MAX_QUOTE_LENGTH = 100

/** The parts of an exchange that raised the level; null where there is none to name. */
export interface Culprit {
  readonly rule: string | null
  readonly sentence: string | null
}

/**
 * Finds the rule and the sentence behind an output's score: each rule is shown alone, and the reply is read without each of its sentences.
 *
 * @param input - the exchange as the guard read it
 */
export async function findCulprit(
  scorer: GuardScorer,
  terms: TermModel | null,
  description: GuardDescription,
  input: GuardInput,
  by: ReachedLine['by'],
  signal: AbortSignal | undefined,
): Promise<{ rule: string | null; sentence: Sentence | null }> {
  const wanted = by === 'strength' ? 'wavers' : by
  const output = ([wanted, 'breaks'] as const).find((name) => description.calibration[name] !== undefined) ?? 'unsafe'
  const rules = by === 'unsafe' ? [] : input.rules
  const sentences = sentencesOf(input.reply).slice(0, MAX_SENTENCES)
  const passes = [
    ...rules.map((rule) => ({ ...input, rules: [rule] })),
    ...(sentences.length < 2
      ? []
      : sentences.map(({ start, end }) => ({ ...input, reply: input.reply.slice(0, start) + input.reply.slice(end) }))),
  ]
  const logits = await scorer.score(passes, { signal })
  const linear = (reply: string): Omit<GuardPass, 'logits'> => ({
    flags: refusalFeatures(reply),
    terms: linearPart(terms, description, input.user, reply),
  })
  // Each rule is shown with the same reply.
  const whole = linear(input.reply)
  const scores = logits.map((found, index) => {
    const read = index < rules.length ? whole : linear(passes[index]!.reply)
    return logOddsOf(description, output, { logits: found, ...read }) ?? 0
  })
  const rule = rules[indexOfHighest(scores.slice(0, rules.length))] ?? null
  // The sentence without which the score is lowest.
  const sentence = sentences[sentences.length < 2 ? 0 : indexOfHighest(scores.slice(rules.length).map((score) => -score))] ?? null
  return { rule, sentence }
}

/** What the reasons tell of. */
export interface ReasonFacts {
  readonly step: GuardLevelStep
  readonly before: Level
  readonly culprit: Culprit | null
  readonly user: string
  readonly pressed: boolean
  readonly strengthBefore: number
  readonly strength: number
}

/** The reasons of a verdict; empty for a calm one. */
export function guardReasons({ step, before, culprit, user, pressed, strengthBefore, strength }: ReasonFacts): string[] {
  if (step.level === 'calm') return []
  const fallen = step.level !== before && step.reached === null
  const rest = [`guardrail strength ${show(strengthBefore)} → ${show(strength)}`]
  if (step.reached === null) {
    const left = ORDINARY_EXCHANGES - step.quiet
    const why = fallen
      ? step.held
        ? 'held under pressure: the level has fallen'
        : `${String(ORDINARY_EXCHANGES)} ordinary exchanges: the level has fallen`
      : `below the lines; the level falls when the assistant holds under pressure, or after ${String(left)} more ordinary exchanges`
    return [why, ...rest]
  }
  const { rule = null, sentence = null } = culprit ?? {}
  return [
    describeLine(step.reached, rule),
    ...(sentence === null ? [] : [`in the reply: “${inShort(sentence)}”`]),
    ...(culprit === null || user.trim() === '' ? [] : [`the user ${pressed ? 'pressed for' : 'asked'}: “${inShort(user)}”`]),
    ...rest,
  ]
}

/** A line that was reached, as a reason. */
export function describeLine({ level, by, value, line }: ReachedLine, rule: string | null): string {
  const figures = `(${by} ${show(value)}, line ${show(line)})`
  const named = rule === null ? '' : `: ${rule.replace(/[.!]$/, '')}`
  switch (by) {
    case 'breaks':
      return `${level === 'alert' ? 'breaks a rule' : 'may break a rule'}${named} ${figures}`
    case 'unsafe':
      return `the reply ${level === 'alert' ? 'is' : 'may be'} harmful whatever the rules say ${figures}`
    case 'wavers':
      return `the guardrail gives way${named} ${figures}`
    case 'strength':
      return `the guardrail has ${level === 'alert' ? 'given way' : 'weakened'} over the conversation${named} ${figures}`
  }
}

/** A sentence and its place in a text. */
export interface Sentence {
  readonly text: string
  readonly start: number
  readonly end: number
}

/** The sentences of a reply with their places in it, list items among them. */
export function sentencesOf(reply: string): Sentence[] {
  const found: Sentence[] = []
  let start = 0
  const add = (end: number): void => {
    const text = reply.slice(start, end).trim()
    if (/[\p{L}\p{N}]/u.test(text)) {
      found.push({ text, start, end })
      start = end
    }
  }
  for (const { index, 0: gap } of reply.matchAll(/(?<=[.!?…]["'”’)*_]*)\s+(?=["'“(*_]*[^\p{Ll}\s])|\n+|(?<=[。！？])/gu))
    add(index + gap.length)
  add(reply.length)
  return found
}

function indexOfHighest(values: readonly number[]): number {
  return values.reduce((best, value, index) => (value > values[best]! ? index : best), 0)
}

function inShort(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length <= MAX_QUOTE_LENGTH ? line : `${line.slice(0, MAX_QUOTE_LENGTH - 1).replace(/\s+\S*$/, '')} …`
}

function show(value: number): string {
  return value.toFixed(2)
}
