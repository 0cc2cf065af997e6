// Letters that only look like Latin ones, put back: Cyrillic and Greek letters inside of Latin words, full-width and mathematical letters; and words
// spelled with a space behind every letter. A person reads the same word; a tokenizer sees another, and a detector nothing at all. Every text keeps its
// length, so that places in it stay.

/** Cyrillic, Greek and Armenian letters and the Latin ones they look like, in the forms that fonts draw alike (after Unicode's UTS 39). */
const LOOKALIKES: ReadonlyMap<string, string> = new Map(
  [
    ['аеосрхуіјѕһԁԛԝгпк', 'aeocpxyijshdqwrnk'],
    ['АВЕЅІЈКМНОРСТУХԚԜҮ', 'ABESIJKMHOPCTYXQWY'],
    ['αεικνορτυχγωη', 'aeikvoptuxywn'],
    ['ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ', 'ABEZHIKMNOPTYX'],
    ['օսհոզցԼՕ', 'ouhnqgLO'],
  ].flatMap(([from = '', to = '']) => Array.from(from, (letter, at): [string, string] => [letter, to[at] ?? letter])),
)

/** Taken out by tokenizers: fills the second half of a letter that was two units long. */
const NOTHING = '\u200b'
const NOT_ASCII = /[^\p{ASCII}]/u
const WORD = /[\p{L}\p{M}]+/gu
const LATIN = /[A-Za-z]/g
const LOOKALIKE = new RegExp(`[${[...LOOKALIKES.keys()].join('')}]`, 'g')
const OTHER_LETTER = /(?=\p{L})[^\p{Script=Latin}]/gu

/** Eight letters or more, one by one; between words there are several spaces, or a sign. */
const SPELLED = /(?<![\p{L}\p{M}])\p{L}(?: \p{L}(?![\p{L}\p{M}])){7,}/gu

const countOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0

/** A letter of another form of Latin (full-width, mathematical, circled) as the plain one, padded to its length. */
function plainForm(letter: string): string {
  const plain = letter.normalize('NFKC')
  return /^[A-Za-z0-9]$/.test(plain) ? plain.padEnd(letter.length, NOTHING) : letter
}

/**
 * Joins words that are spelled letter by letter, and replaces letters that look like Latin ones where they stand for them: in words that also have Latin letters, and in words of nothing but such
 * letters where the text is mostly Latin. Texts in Cyrillic or Greek stay as they are.
 *
 * @returns a text of the same length in UTF-16 units
 */
export function withPlainLetters(text: string): string {
  const joined = text.replaceAll(SPELLED, (letters) => letters.replaceAll(' ', NOTHING))
  return NOT_ASCII.test(text) ? withoutLookalikes(joined) : joined
}

function withoutLookalikes(text: string): string {
  const plain = text.replaceAll(/[\u0250-\u{10ffff}]/gu, (letter) => (LOOKALIKES.has(letter) ? letter : plainForm(letter)))
  const isLatin = countOf(plain, LATIN) > countOf(plain, OTHER_LETTER)
  return plain.replaceAll(WORD, (word) => {
    const alike = countOf(word, LOOKALIKE)
    if (alike === 0) return word
    const stands = LATIN.test(word) || (isLatin && alike === word.length)
    LATIN.lastIndex = 0
    return stands ? word.replaceAll(LOOKALIKE, (letter) => LOOKALIKES.get(letter) ?? letter) : word
  })
}
