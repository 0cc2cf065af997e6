// Owns confusables folding: maps Cyrillic and Greek lookalikes within Latin words, full-width and mathematical letters to Latin letters,
// and joins words that are spelled with a space after every letter. A person reads the same word, but the tokens and so the scores
// differ. A text's length never changes, so that indices into it stay valid.

/** Cyrillic, Greek and Armenian letters that fonts draw like Latin ones, with their Latin skeleton (after Unicode's UTS #39). */
const CONFUSABLES: ReadonlyMap<string, string> = new Map(
  [
    ['аеосрхуіјѕһԁԛԝгпк', 'aeocpxyijshdqwrnk'],
    ['АВЕЅІЈКМНОРСТУХԚԜҮ', 'ABESIJKMHOPCTYXQWY'],
    ['αεικνορτυχγωη', 'aeikvoptuxywn'],
    ['ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ', 'ABEZHIKMNOPTYX'],
    ['օսհոզցԼՕ', 'ouhnqgLO'],
  ].flatMap(([from = '', to = '']) => Array.from(from, (letter, at): [string, string] => [letter, to[at] ?? letter])),
)

/** Zero-width space, which tokenizers drop: pads replacements to the replaced length. */
const PADDING = '\u200b'
const NOT_ASCII = /[^\p{ASCII}]/u
const WORD = /[\p{L}\p{M}]+/gu
const LATIN = /[A-Za-z]/g
const CONFUSABLE = new RegExp(`[${[...CONFUSABLES.keys()].join('')}]`, 'g')
const OTHER_LETTER = /(?=\p{L})[^\p{Script=Latin}]/gu

/** At least eight letters separated by single spaces; words are separated by several spaces or punctuation. */
const SPELLED = /(?<![\p{L}\p{M}])\p{L}(?: \p{L}(?![\p{L}\p{M}])){7,}/gu

const countOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0

/** A compatibility form of a Latin letter (full-width, mathematical, circled) as the ASCII letter, padded to its length. */
function asciiForm(letter: string): string {
  const plain = letter.normalize('NFKC')
  return /^[A-Za-z0-9]$/.test(plain) ? plain.padEnd(letter.length, PADDING) : letter
}

/**
 * Joins words that are spelled letter by letter and replaces confusables by Latin letters: in words that also have Latin letters,
 * and in words of confusables only if the text is mostly Latin. Texts in Cyrillic or Greek stay unchanged.
 *
 * @returns a text of the same length in UTF-16 units
 */
export function foldConfusables(text: string): string {
  const joined = text.replaceAll(SPELLED, (letters) => letters.replaceAll(' ', PADDING))
  return NOT_ASCII.test(text) ? foldLetters(joined) : joined
}

function foldLetters(text: string): string {
  const plain = text.replaceAll(/[\u0250-\u{10ffff}]/gu, (letter) => (CONFUSABLES.has(letter) ? letter : asciiForm(letter)))
  const mixed = plain.replaceAll(WORD, (word) => (countOf(word, LATIN) > 0 ? latin(word) : word))
  // Counted after words with letters of both are Latin: where every lookalike is used, most letters are others before.
  if (countOf(mixed, LATIN) <= countOf(mixed, OTHER_LETTER)) return mixed
  return mixed.replaceAll(WORD, (word) => (countOf(word, CONFUSABLE) === word.length ? latin(word) : word))
}

function latin(word: string): string {
  return word.replaceAll(CONFUSABLE, (letter) => CONFUSABLES.get(letter) ?? letter)
}
