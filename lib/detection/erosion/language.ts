// Owns the identification of a reply's language, so that a detector trained on English can report replies in other languages.
// Knows text only.

/** An identified language. */
export interface Language {
  /** BCP 47 tag, such as `de`. */
  readonly tag: string
  /** English name, such as `German`. */
  readonly name: string
}

/** The languages that are distinguished, by ISO 639-3 code. */
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

/** Enough to identify a language, and few enough to take microseconds. */
const READ_CHARACTERS = 400
/** Latin texts with fewer letters are not classified: names, numbers and "OK" occur in all languages. */
const MIN_LETTERS = 20
/** Common English words that other languages do not have, and the share of them from which a text counts as English. */
const ENGLISH_WORDS = new Set(
  'the and of to for with you your that this it are have would they what which my can be not there i we from if any please let'.split(' '),
)
const ENGLISH_SHARE = 0.12
/** Minimum lead of another language's score over that of English. */
const MARGIN = 0.05

/**
 * Identifies a text's language; null when the text is too short. English is recognized by its commonest words in a few
 * microseconds; only texts that lack them are compared with trigrams of other languages. Ties go to English.
 */
export async function guessLanguage(text: string): Promise<Language | null> {
  const part = text.slice(0, READ_CHARACTERS)
  const words = part.toLowerCase().match(/\p{L}+/gu) ?? []
  const english = words.reduce((count, word) => count + (ENGLISH_WORDS.has(word) ? 1 : 0), 0)
  if (words.length > 0 && english / words.length >= ENGLISH_SHARE) return ENGLISH
  const letters = words.reduce((count, word) => count + word.length, 0)
  if (letters === 0 || (letters < MIN_LETTERS && /^\p{Script=Latin}+$/u.test(words.join('')))) return null
  // Its trigrams take 20 ms to load.
  const { francAll } = await import('franc-min')
  const ranked = francAll(part, { only: CODES, minLength: 3 })
  const [best] = ranked
  const found = best === undefined ? undefined : LANGUAGES[best[0]]
  if (best === undefined || found === undefined) return null
  const englishFit = ranked.find(([code]) => code === 'eng')?.[1] ?? 0
  return best[1] - englishFit < MARGIN ? ENGLISH : found
}
