// Owns the refusal flags, found by one lexicon of phrases per language.
// Knows text only. A lexicon is plain JSON, so that another language needs a file and no code.

import { GabionError } from '../../errors.js'

/** Phrases of refusal in one language. */
export interface RefusalLexicon {
  /** BCP 47 tag, such as `en`. */
  readonly language: string
  /** Characters at the start of a reply that count as its opening. */
  readonly opening: number
  /**
   * Regular expressions, one per phrase, matched without regard to case at word boundaries (no letter or digit at either
   * end). A straight apostrophe also matches the typographic one.
   */
  readonly patterns: readonly string[]
}

/** Refusal phrases of a reply. */
export interface RefusalFlags {
  /** A phrase in the opening. */
  readonly opening: boolean
  /** A phrase anywhere. */
  readonly anywhere: boolean
}

/** English; the bundled heads were trained with it. */
export const ENGLISH_REFUSALS: RefusalLexicon = {
  language: 'en',
  opening: 220,
  patterns: [
    "i'm sorry",
    'i am sorry',
    'sorry,? (?:but )?i',
    'i apologi[sz]e',
    "i (?:can't|cannot|can not)",
    "i (?:won't|will not)",
    "(?:i'm|i am) (?:not able|unable)",
    'unable to (?:assist|help|provide|fulfil)',
    'i must (?:decline|refuse)',
    'i (?:have|need) to decline',
    'not (?:appropriate|comfortable)',
    'against my',
    'as an ai',
    "i (?:do not|don't) (?:feel(?: comfortable)?|condone|support|encourage)",
    "(?:can't|cannot) (?:assist|help|provide|fulfil)",
    'it is (?:illegal|unethical|not ethical)',
    'illegal and unethical',
    'not able to (?:assist|help|provide)',
  ],
}

/** Compiled lexicons; a phrase of any of them counts. */
export class RefusalReader {
  readonly lexicons: readonly RefusalLexicon[]
  readonly #readers: readonly { pattern: RegExp; opening: number }[]

  /** @throws GabionError `ARTIFACT_INVALID` when a lexicon has no patterns, or one that is no regular expression */
  constructor(lexicons: RefusalLexicon | readonly RefusalLexicon[]) {
    this.lexicons = 'patterns' in lexicons ? [lexicons] : lexicons
    if (this.lexicons.length === 0) throw new GabionError('ARTIFACT_INVALID', 'expected at least one refusal lexicon, got none')
    this.#readers = this.lexicons.map((lexicon) => {
      checkLexicon(lexicon)
      return { pattern: compile(lexicon.patterns), opening: lexicon.opening }
    })
  }

  read(reply: string): RefusalFlags {
    const text = reply.includes('\u2019') ? reply.replaceAll('\u2019', "'") : reply
    let [inOpening, anywhere] = [false, false]
    for (const { pattern, opening } of this.#readers) {
      const at = text.search(pattern)
      if (at < 0) continue
      anywhere = true
      // A phrase that begins in the opening and ends after it is no opening one, so the truncated text decides.
      inOpening ||= at < opening && pattern.test(text.slice(0, opening))
    }
    return { opening: inOpening, anywhere }
  }
}

function checkLexicon({ language, opening, patterns }: RefusalLexicon): void {
  if (typeof language !== 'string' || language === '') throw wrong('language', 'a language tag')
  if (!Number.isInteger(opening) || opening < 1) throw wrong('opening', 'an integer of 1 or more')
  if (!Array.isArray(patterns) || patterns.length === 0) throw wrong('patterns', 'an array of one or more patterns')
  for (const pattern of patterns as unknown[]) {
    if (typeof pattern !== 'string' || pattern === '') throw wrong('patterns', 'an array of non-empty strings')
    compile([pattern])
  }
}

function compile(patterns: readonly string[]): RegExp {
  try {
    return new RegExp(`(?<![\\p{L}\\p{N}_])(?:${patterns.join('|')})(?![\\p{L}\\p{N}_])`, 'iu')
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `a pattern of the refusal lexicon is no regular expression: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function wrong(field: string, expected: string): GabionError {
  return new GabionError('ARTIFACT_INVALID', `field '${field}' of a refusal lexicon must be ${expected}`)
}
