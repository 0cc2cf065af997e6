// Owns what of a verdict may go where no text of a conversation, no rule and no policy's statement may go: alerts, logs, stores.

import type { DetectorVerdict } from './verdict.js'

/** The guard's quotations of reply and message, and what a judge says, which may be one. */
const QUOTING = /^(?:in the reply: “|the user (?:asked|pressed for): “|the judge )/

/** A policy's reason: its name, then statement and example. */
const POLICY = /^(breaks '.*?'): .*?( \(score [^()]*\))?$/s

/** The reasons that quote neither message nor reply; those that name a rule name it. */
export function reasonsWithoutTexts({ reasons }: Pick<DetectorVerdict, 'reasons'>): string[] {
  return reasons.filter((reason) => !QUOTING.test(reason))
}

/** The reasons without any words of the conversation, of its rules or of a policy's statement and examples; policies keep their names. */
export function wordlessReasons(verdict: Pick<DetectorVerdict, 'reasons' | 'rule' | 'policies'>): string[] {
  const rule = verdict.rule?.replace(/[.!]$/, '') ?? ''
  return reasonsWithoutTexts(verdict).map((reason) => {
    const named = (verdict.policies ?? []).find((name) => reason.startsWith(`breaks '${name}': `))
    if (named !== undefined) return `breaks '${named}'${/ \(score [^()]*\)$/.exec(reason)?.[0] ?? ''}`
    const [, policy, figures = ''] = POLICY.exec(reason) ?? []
    if (policy !== undefined) return policy + figures
    return rule === '' ? reason : reason.split(`: ${rule}`).join('')
  })
}

/**
 * The verdict without any words: see {@link wordlessReasons}; rule, sentence, a judge's reason, and statements and examples of policies are
 * gone, numbers and names stay.
 */
export function wordless<Verdict extends DetectorVerdict>(verdict: Verdict): Verdict {
  return {
    ...verdict,
    reasons: wordlessReasons(verdict),
    ...(verdict.rule !== undefined && { rule: null }),
    ...(verdict.sentence !== undefined && { sentence: null }),
    ...(isListOfObjects(verdict, 'findings') && {
      findings: verdict.findings.map((finding) => ({ ...finding, statement: '', nearest: '' })),
    }),
    ...(verdict.judge !== undefined && verdict.judge !== null && { judge: { ...verdict.judge, reason: '' } }),
  }
}

function isListOfObjects<Name extends string>(value: object, name: Name): value is Record<Name, readonly object[]> {
  return Array.isArray((value as Readonly<Record<string, unknown>>)[name])
}
