// Owns what a conversation remembers for its detector between exchanges: system prompt, rules, and the last exchanges as texts.
// Bounded, since it is saved with every conversation.

import { HISTORY_EXCHANGES, MAX_HISTORY_LENGTH, MAX_SYSTEM_LENGTH, type ConversationContext, type Exchange } from '../detection/detector.js'
import type { JsonObject } from '../json/json-object.js'
import { checkString, invalidArgument } from '../options.js'

/** What a caller says about a conversation; an omitted field leaves what is in force. */
export interface Instructions {
  /** The system prompt, in force from the next exchange on; null or empty for none. Its first 65,536 characters are read. */
  system?: string | null
  /** Rules in addition to the system prompt; an empty list for none. */
  rules?: readonly string[]
}

/** The context of a conversation without instructions and exchanges. */
export const NO_CONTEXT: ConversationContext = { system: null, rules: [], history: [] }

/** Rules that a caller may state. */
export const MAX_RULES = 1000

/** @throws GabionError `INVALID_ARGUMENT` naming the field */
export function checkInstructions({ system, rules }: Readonly<Record<keyof Instructions, unknown>> | Instructions): Instructions {
  if (rules !== undefined && (!Array.isArray(rules) || rules.length > MAX_RULES))
    throw invalidArgument('rules', `a list of at most ${String(MAX_RULES)} sentences`, rules)
  return {
    ...(system !== undefined && { system: system === null ? null : checkString('system', system) }),
    ...(rules !== undefined && { rules: rules.map((rule: unknown, index) => checkString(`rules[${String(index)}]`, rule)) }),
  }
}

/** The context with new instructions. */
export function instructed(context: ConversationContext, { system, rules }: Instructions): ConversationContext {
  if (system === undefined && rules === undefined) return context
  return {
    history: context.history,
    system: system === undefined ? context.system : system === null || system.trim() === '' ? null : headOf(system, MAX_SYSTEM_LENGTH),
    rules: rules === undefined ? context.rules : rules.map((rule) => headOf(rule.trim(), MAX_HISTORY_LENGTH)).filter((rule) => rule !== ''),
  }
}

/** The context after an exchange. */
export function afterExchange(context: ConversationContext, { user, assistant }: Exchange): ConversationContext {
  const exchange = { user: tailOf(user), assistant: tailOf(assistant) }
  return { ...context, history: [...context.history, exchange].slice(-HISTORY_EXCHANGES) }
}

/** Reads a saved context; the error names the field. */
export function readContext(json: JsonObject): ConversationContext {
  const history = json.objects('history').map((exchange) => ({ user: exchange.string('user'), assistant: exchange.string('assistant') }))
  if (history.length > HISTORY_EXCHANGES) throw json.wrong('history', `at most ${String(HISTORY_EXCHANGES)} exchanges`)
  return { system: json.stringOr('system', null), rules: json.strings('rules'), history }
}

function headOf(text: string, length: number): string {
  return text.length <= length ? text : text.slice(0, length).replace(/[\ud800-\udbff]$/, '')
}

function tailOf(text: string): string {
  return text.length <= MAX_HISTORY_LENGTH ? text : text.slice(-MAX_HISTORY_LENGTH).replace(/^[\udc00-\udfff]/, '')
}
