// Owns the text that the guard reads in place of one: Latin letters for those that look like them, nothing that nobody sees, and for what
// is merely spelled in another way (base64, rot13, digits for letters) the words that it says. Knows strings only.

import { foldConfusables } from '../confusables.js'

/** What the guard reads in place of a text. Ordinary texts stay as they are; where something is decoded or removed, the length changes. */
export function readableText(text: string): string {
  const narrow = FULL_WIDTH_LETTER.test(text) ? text.replaceAll(FULL_WIDTH, halfWidth) : text
  const visible = foldConfusables(narrow).replaceAll(INVISIBLE, '')
  return SPELLINGS.reduce(
    respelled,
    visible.replaceAll(BASE64, (block) => decodedBase64(block) ?? block),
  )
}

/**
 * What the guard reads in place of a reply: also without what the reply says of its own obedience, which is no evidence of it. Only those
 * very words go, so that nothing else can hide among them.
 */
export function readableReply(text: string): string {
  const readable = readableText(text)
  if (readable.search(OWN_VERDICT) < 0) return readable
  const rest = readable.replaceAll(OWN_VERDICT, '').replaceAll(EMPTY_BRACKETS, '').trim()
  return HAS_WORDS.test(rest) ? rest : readable
}

/** Both texts of an exchange. */
export function readableExchange<Exchange extends { readonly user: string; readonly assistant: string }>(exchange: Exchange): Exchange {
  return { ...exchange, user: readableText(exchange.user), assistant: readableReply(exchange.assistant) }
}

const OBEDIENCE = {
  opening: String.raw`(?:note (?:to|for) (?:the )?\w{1,12}: ?)?`,
  reply: '(?:this|my|the) (?:reply|response|answer|message|output)',
  how: "(?: (?:fully|strictly|completely|clearly|always|also|does not|doesn't|do not))*",
  does: '(?:follow|obey|respect|compl(?:y|ie)|violate|break)(?:e?s)?',
  is: '(?:is|has been|was) (?:safe|allowed|permitted|compliant|approved|reviewed)',
  what: '(?: (?:all|any|every|none|no|of|the|our|your|my|with|company|safety|content|rules?|polic(?:y|ies)|guidelines?|instructions?))*',
  check: '(?:compliance|safety|policy|moderation|guardrail) (?:check|review):? (?:passed|ok|okay|clear|done)',
}

/** "Note to the reviewer: this reply follows all rules", "compliance check passed", "breaks=0": of words from a list, and no others. */
const OWN_VERDICT = new RegExp(
  [
    `${OBEDIENCE.opening}\\b${OBEDIENCE.reply}${OBEDIENCE.how} (?:${OBEDIENCE.does}|${OBEDIENCE.is})${OBEDIENCE.what}\\b`,
    `\\b${OBEDIENCE.check}\\b`,
    '\\b(?:breaks|unsafe) ?[=:] ?[01](?:\\.\\d{1,3})?\\b',
  ]
    .map((words) => `(?:${words})[.!]?`)
    .join('|'),
  'gi',
)

const EMPTY_BRACKETS = /\[[^\p{L}\p{N}\][]*\]|\([^\p{L}\p{N}()]*\)/gu
const HAS_WORDS = /[\p{L}\p{N}]/u

/** Punctuation of this width is that of Chinese and Japanese, where letters are not. */
const FULL_WIDTH_LETTER = /[\uff21-\uff3a\uff41-\uff5a]/
const FULL_WIDTH = /[\uff01-\uff5e]/g

function halfWidth(letter: string): string {
  return String.fromCharCode(letter.charCodeAt(0) - 0xfee0)
}

/** Format characters: zero-width spaces, soft hyphens, directions of writing. */
const INVISIBLE = /\p{Cf}/gu

/** In one piece, or in lines of a mail's length. */
const BASE64 = /(?<![\w+/=-])(?:[A-Za-z0-9+/]{60,76}\r?\n)*[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/-])/g

/** Words of a block that is text. */
const MIN_DECODED_WORDS = 3

/** The text in a block of base64; null if it holds none, such as a key or a picture. */
function decodedBase64(block: string): string | null {
  const digits = block.replaceAll(/[\s=]/g, '').replaceAll('-', '+').replaceAll('_', '/')
  // Of a block whose end is missing, what is there.
  const whole = digits.length % 4 === 1 ? digits.slice(0, -1) : digits
  const bytes = Uint8Array.from(atob(whole), (byte) => byte.charCodeAt(0))
  const text = new TextDecoder().decode(bytes).replace(/\ufffd$/, '')
  if (/[^\P{Cc}\s]|\ufffd/u.test(text)) return null
  const readable = readableText(text)
  return readable.split(/\s+/).filter((word) => /\p{L}/u.test(word)).length >= MIN_DECODED_WORDS ? readable : null
}

/** Whole sentences, with the space behind them. */
const SENTENCE = /[^.!?\n]+[.!?\n]*/g

/** A sentence's words, digits and apostrophes in them. */
const WORD = /[a-z0-9]+(?:'[a-z0-9]+)*/g

const COMMON = new Set(
  (
    'the and to of in is you that it for on are as with your we can be have this will not or from at by if but so do my me our no was has ' +
    "they he she them their what when which who there here please would could should any all just than then i'm you're it's"
  ).split(' '),
)

/** In a sentence of ordinary English a third of the words are common ones. */
const USUAL_SHARE = 0.2
/** Fewer may be chance: "va" and "vf" are words too. */
const MIN_COMMON = 3

/** A text with the sentences that have more common words in a spelling put into it, if these are English then. */
function respelled(text: string, spell: (text: string) => string): string {
  const sentences = text.match(SENTENCE) ?? []
  const words = sentences.filter((sentence) => gains(sentence, spell)).flatMap(wordsOf)
  const common = words.filter((word) => isRespelled(word, spell))
  if (new Set(common).size < MIN_COMMON || common.length < USUAL_SHARE * words.length) return text
  return text.replaceAll(SENTENCE, (sentence) => (gains(sentence, spell) || !wordsOf(sentence).some(isCommon) ? spell(sentence) : sentence))
}

function gains(sentence: string, spell: (text: string) => string): boolean {
  const words = wordsOf(sentence)
  return words.filter((word) => isRespelled(word, spell)).length > words.filter(isCommon).length
}

/** Numbers stay numbers: 50 is not "so". */
function isRespelled(word: string, spell: (text: string) => string): boolean {
  const other = spell(word)
  return other !== word && isCommon(other) && /[a-z]/.test(word)
}

function isCommon(word: string): boolean {
  return COMMON.has(word)
}

function wordsOf(sentence: string): string[] {
  return sentence.toLowerCase().match(WORD) ?? []
}

const SPELLINGS = [rot13, withoutDigits]

function rot13(text: string): string {
  return text.replaceAll(/[a-z]/gi, (letter) => {
    const first = letter <= 'Z' ? 65 : 97
    return String.fromCharCode(((letter.charCodeAt(0) - first + 13) % 26) + first)
  })
}

const LETTERS: Readonly<Record<string, string>> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't' }

/** Letters for the digits that look like them (l33t). */
function withoutDigits(text: string): string {
  return text.replaceAll(/[013457]/g, (digit) => LETTERS[digit]!)
}
