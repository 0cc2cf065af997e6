// Owns the guess which language a reply is in, so that a detector trained on English can say where it is out of its depth.
// Knows text only.

import type * as Franc from 'franc-min'
import { lazily } from '../../lazy.js'

const franc = lazily<typeof Franc>('franc-min')

/** A language that a text seems to be in. */
export interface Language {
  /** BCP 47 tag, such as `de`. */
  readonly tag: string
  /** English name, such as `German`. */
  readonly name: string
}

/** The languages that are told apart, by their ISO 639-3 codes. */
const LANGUAGES: Readonly<Record<string, Language>> = {
  eng: { tag: 'en', name: 'English' },
  deu: { tag: 'de', name: 'German' },
  fra: { tag: 'fr', name: 'French' },
  spa: { tag: 'es', name: 'Spanish' },
  por: { tag: 'pt', name: 'Portuguese' },
  ita: { tag: 'it', name: 'Italian' },
  nld: { tag: 'nl', name: 'Dutch' },
  pol: { tag: 'pl', name: 'Polish' },
  ces: { tag: 'cs', name: 'Czech' },
  hrv: { tag: 'hr', name: 'Croatian' },
  ron: { tag: 'ro', name: 'Romanian' },
  hun: { tag: 'hu', name: 'Hungarian' },
  swe: { tag: 'sv', name: 'Swedish' },
  tur: { tag: 'tr', name: 'Turkish' },
  vie: { tag: 'vi', name: 'Vietnamese' },
  ind: { tag: 'id', name: 'Indonesian' },
  rus: { tag: 'ru', name: 'Russian' },
  ukr: { tag: 'uk', name: 'Ukrainian' },
  bul: { tag: 'bg', name: 'Bulgarian' },
  srp: { tag: 'sr', name: 'Serbian' },
  ell: { tag: 'el', name: 'Greek' },
  arb: { tag: 'ar', name: 'Arabic' },
  pes: { tag: 'fa', name: 'Persian' },
  hin: { tag: 'hi', name: 'Hindi' },
  cmn: { tag: 'zh', name: 'Chinese' },
  jpn: { tag: 'ja', name: 'Japanese' },
  kor: { tag: 'ko', name: 'Korean' },
}

const CODES = Object.keys(LANGUAGES)
const ENGLISH = LANGUAGES.eng as Language

/** Enough to tell a language, and little enough to take microseconds. */
const READ_CHARACTERS = 400
/** Letters of a Latin text below which nothing is said: names, numbers and "OK" belong to all languages. */
const MIN_LETTERS = 20
/** Common English words that other languages do not have, and the share of them from which a text is English without more ado. */
const ENGLISH_WORDS = new Set(
  'the and of to for with you your that this it are have would they what which my can be not there i we from if any please let'.split(' '),
)
const ENGLISH_SHARE = 0.12
/** How much better than English another language must fit. */
const MARGIN = 0.05

/**
 * The language a text seems to be in; null when it is too short to tell. English is recognized by its commonest words in a few
 * microseconds; only what lacks them is compared with the trigrams of other languages, and in doubt a text counts as English.
 */
export function guessLanguage(text: string): Language | null {
  const part = text.slice(0, READ_CHARACTERS)
  const words = part.toLowerCase().match(/\p{L}+/gu) ?? []
  const english = words.reduce((count, word) => count + (ENGLISH_WORDS.has(word) ? 1 : 0), 0)
  if (words.length > 0 && english / words.length >= ENGLISH_SHARE) return ENGLISH
  const letters = words.reduce((count, word) => count + word.length, 0)
  if (letters === 0 || (letters < MIN_LETTERS && /^\p{Script=Latin}+$/u.test(words.join('')))) return null
  const ranked = franc().francAll(part, { only: CODES, minLength: 3 })
  const [best] = ranked
  const found = best === undefined ? undefined : LANGUAGES[best[0]]
  if (best === undefined || found === undefined) return null
  const englishFit = ranked.find(([code]) => code === 'eng')?.[1] ?? 0
  return best[1] - englishFit < MARGIN ? ENGLISH : found
}
