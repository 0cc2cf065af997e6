// Letters that look like Latin ones become Latin ones, and nothing else changes.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { foldConfusables } from '../../lib/detection/confusables.js'

describe('foldConfusables', () => {
  for (const [what, text, expected] of [
    ['Cyrillic letters in Latin words', 'а реtitiоn fоr thе раrk', 'a petition for the park'],
    ['a word of Cyrillic letters alone in a Latin text', 'please сор this for me', 'please cop this for me'],
    ['all letters that have a lookalike', 'Уоu mау сорy thіѕ сhаrt, ѕhе ѕауѕ', 'You may copy this chart, she says'],
    ['Greek letters in Latin words', 'a gοοd mοrning', 'a good morning'],
    ['full-width letters', 'ｇｏｏｄ ｄａｙ１', 'good day1'],
    ['mathematical letters', '𝐠𝗈𝓸𝔡', 'g\u200bo\u200bo\u200bd\u200b'],
    ['circled letters', 'ⓖⓞⓞⓓ', 'good'],
    [
      'words spelled letter by letter',
      'a  g o o d e v e n i n g, all',
      'a  g\u200bo\u200bo\u200bd\u200be\u200bv\u200be\u200bn\u200bi\u200bn\u200bg, all',
    ],
  ] as const) {
    test(what, () => assert.equal(foldConfusables(text), expected))
  }

  for (const text of [
    'Он сказал: спасибо',
    'Καλημέρα κόσμε',
    '中文，日本語。',
    'naïve façade Straße ﬁn',
    'A B C D or 1 2 3 4 5 6 7 8 9',
    'Он read the book',
    'e\u0301 \ud800 👩‍👧',
    '',
  ]) {
    test(`leaves ${JSON.stringify(text)} as it is`, () => assert.equal(foldConfusables(text), text))
  }

  test('keeps the length and leaves ASCII alone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ unit: 'grapheme-ascii', maxLength: 60 }), (any, ascii) => {
        fc.pre(!/(\w ){7}/.test(ascii))
        assert.equal(foldConfusables(any).length, any.length)
        assert.equal(foldConfusables(ascii), ascii)
        assert.equal(foldConfusables(foldConfusables(any)).length, any.length)
      }),
    )
  })
})
