// Owns the text tables of policy checks. Knows their numbers, not how they are computed.

import type { LogOutcome, PolicyExamination, PolicyOverlap } from '../detection/policy/policy-check.js'
import { plainTable } from './plain-table.js'

/** A table with a row per policy. */
export function policyTable(policies: readonly PolicyExamination[]): string {
  const table = plainTable([
    'policy',
    'examples',
    'caught when left out',
    'missed',
    'allowed, wrongly caught',
    'ordinary conversations that reach it',
  ])
  for (const { name, examples, allowed, caughtLeftOut, missed, wronglyLeftOut, threshold } of policies) {
    table.push([
      name,
      examples,
      `${caughtLeftOut} (${percent(caughtLeftOut / examples)})`,
      missed.length === 0 ? '–' : inBrief(missed),
      allowed === 0 ? '–' : `${wronglyLeftOut} of ${allowed}`,
      `${threshold.reached} of ${threshold.conversations}, at most ${percent(threshold.upperBound)} (95 %)`,
    ])
  }
  return table.toString()
}

const MISSED_SHOWN = 8

function inBrief(missed: readonly number[]): string {
  return `#${missed.slice(0, MISSED_SHOWN).join(' #')}${missed.length > MISSED_SHOWN ? ' …' : ''}`
}

/** Advice on overlaps and few examples, one line per finding. */
export function overlapLines(overlaps: readonly PolicyOverlap[], policies: readonly PolicyExamination[]): string[] {
  return [
    ...policies
      .filter(({ tooFew }) => tooFew)
      .map(({ name, examples }) => `'${name}' has ${examples} examples, which is few: it uses its nearest example alone.`),
    ...overlaps.map(
      ({ first, second, firstCaughtBySecond, secondCaughtByFirst }) =>
        `'${first}' and '${second}' overlap: ${percent(firstCaughtBySecond)} of the first one's examples are caught by the second, ${percent(secondCaughtByFirst)} vice versa.`,
    ),
    ...(overlaps.length === 0 && policies.length > 1 ? ["No two policies catch a good part of each other's examples."] : []),
  ]
}

/** Results of policies on a log. */
export function logTable(log: string, conversations: number, outcomes: readonly LogOutcome[]): string {
  const table = plainTable([`${log} (${conversations})`, 'caught', 'wrongly caught', 'caught, without labels', 'look at'])
  for (const { name, breaking, caught, others, wrongly, unknown, caughtUnknown, wrongIds } of outcomes) {
    table.push([
      name,
      breaking === 0 ? '–' : `${caught} of ${breaking}`,
      others === 0 ? '–' : `${wrongly} of ${others}`,
      unknown === 0 ? '–' : `${caughtUnknown} of ${unknown}`,
      wrongIds.slice(0, 3).join(' '),
    ])
  }
  return table.toString()
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
}
