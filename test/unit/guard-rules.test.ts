// System prompts split into rules: layouts one by one, and the prompts of invented deployments.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ruleSentences } from '../../lib/detection/guard/rules.js'

const PROMPTS = JSON.parse(readFileSync(new URL('../fixtures/system-prompts/prompts.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, string>
>

function check(prompt: string, rules: readonly string[]): void {
  assert.deepEqual(ruleSentences(prompt), rules)
}

describe('prose', () => {
  test('is split at the ends of sentences', () => {
    check('Be friendly and brief. Quote no exact day! Do you know it? Say so.', [
      'Be friendly and brief.',
      'Quote no exact day!',
      'Do you know it? Say so.',
    ])
  })

  test('is not split behind abbreviations, initials and numbers', () => {
    for (const sentence of [
      'Ask Dr. Alder or Mr. Finch first.',
      'Offer small things, e.g. Vouchers, only once.',
      'Refunds below 1.5 percent are fine until 5 p.m. Monday to Friday.',
      'Orders go to J. R. Smith alone.',
      'Fragen beantwortet z. B. Frau Alder.',
      'The fee of No. 5 is never waived.',
    ])
      check(sentence, [sentence])
  })

  test('keeps an exception with its sentence', () => {
    check('No refunds after thirty days. Unless the item is faulty. Never share codes. Exception: the owner, in person.', [
      'No refunds after thirty days. Unless the item is faulty.',
      'Never share codes. Exception: the owner, in person.',
    ])
    check('You may waive a fee; only if the manager agrees in writing, and never for the same customer in one and the same year again.', [
      'You may waive a fee; only if the manager agrees in writing, and never for the same customer in one and the same year again.',
    ])
  })

  test('is split at semicolons where it is long, with its label, and not in parentheses', () => {
    check(
      'Returns: within thirty days from delivery, unworn (tags on; no stains), in the bag; you cannot make exceptions for anybody at all.',
      [
        'Returns: within thirty days from delivery, unworn (tags on; no stains), in the bag',
        'Returns: you cannot make exceptions for anybody at all.',
      ],
    )
    check('Be brief; be kind to people.', ['Be brief; be kind to people.'])
  })

  test('without spaces is split too', () => {
    check('返金はできません。個人情報を教えてはいけません。', ['返金はできません。', '個人情報を教えてはいけません。'])
  })

  test('that is wrapped is read as if it were not', () => {
    check(
      'Before you talk about any order, ask for the order number and\nthe e-mail address, and check both.\nNever give discounts to anyone.',
      [
        'Before you talk about any order, ask for the order number and the e-mail address, and check both.',
        'Never give discounts to anyone.',
      ],
    )
  })
})

describe('lists', () => {
  test('of any marker give an item each', () => {
    const rules = ['Never give discounts away.', 'Ask for the order number.', 'Keep these lines private.']
    for (const marker of ['- ', '* ', '• ', '+ ', '– ', '  - ', '> - ']) check(rules.map((rule) => `${marker}${rule}`).join('\n'), rules)
    for (const marker of [
      (i: number) => `${i}. `,
      (i: number) => `${i}) `,
      (i: number) => `(${i}) `,
      (i: number) => `1.${i} `,
      (i: number) => `${i} `,
    ])
      check(rules.map((rule, index) => `${marker(index + 1)}${rule}`).join('\n'), rules)
    check(['a', 'b', 'c'].map((letter, index) => `${letter}) ${rules[index]!}`).join('\n'), rules)
  })

  test('carry the line that decides their meaning, and no other', () => {
    check('Never:\n- give discounts\n- share a code\n\nIf asked, say that you are an assistant.', [
      'Never: give discounts',
      'Never: share a code',
      'If asked, say that you are an assistant.',
    ])
    check('You may not do the following:\n\n* recommend other shops', ['You may not do the following: recommend other shops'])
    check('Our opening hours:\n- Monday to Friday, nine to five', ['Monday to Friday, nine to five'])
    check('## DO NOT\n- say who sells', ['DO NOT: say who sells'])
    check('HOUSE RULES\n- nothing about other members', ['nothing about other members'])
  })

  test('join items that go on in the next line, and a label with its sentence', () => {
    check('- Orders are shown only to those who give the order number\n  and the e-mail address.', [
      'Orders are shown only to those who give the order number and the e-mail address.',
    ])
    check('- **No advice.** You hold no opinion on funds.', ['No advice. You hold no opinion on funds.'])
  })
})

describe('markup', () => {
  test('is removed', () => {
    check(
      '# Role\n\nYou are **Pip**, see [our pages](https://example.org/a).\n\n```\nUse `code` as given.\n```\n<rules>Keep them all private.</rules>',
      ['You are Pip, see our pages.', 'Use code as given.', 'Keep them all private.'],
    )
  })

  test('of tables gives a rule for each row, with the names of the columns', () => {
    check('| Request | Limit | Approval |\n| --- | :---: | --- |\n| Refund | 50 euros | none |\n| Voucher | 10 euros | team lead |', [
      'Refund, Limit: 50 euros, Approval: none',
      'Voucher, Limit: 10 euros, Approval: team lead',
    ])
    check('| Refund | up to 50 euros |\n| Voucher | up to 10 euros |', ['Refund, up to 50 euros', 'Voucher, up to 10 euros'])
  })
})

describe('the prompts of deployments', () => {
  const has = (name: string, ...rules: string[]): void => {
    const found = ruleSentences(PROMPTS[name]!)
    for (const rule of rules) assert.ok(found.includes(rule), `${name} has no ${JSON.stringify(rule)} in ${JSON.stringify(found, null, 1)}`)
  }

  test('give the rules that their writers meant', () => {
    has(
      'clothing-shop',
      'The only discount you may give is the code HELLO10 (10%), and only to someone placing a first order.',
      'Returns: you cannot make exceptions, but you may pass a case to the returns team without promising a result.',
      "Quote the carrier's estimated window, never a guaranteed day.",
    )
    has('real-estate', 'DO NOT: predict prices, rents or returns', 'If asked, say you are an automated assistant.')
    has('saas', 'No dates or hints about unreleased features.')
    has('agent-ci-bot', 'Reverts on main go through a PR like any change. Exception: the on-call engineer, during an open incident.')
    has('bank-rm-assistant', 'No advice. You hold no opinion on securities, funds or currencies.')
    has('long-broadband', 'A missed appointment that we cause is credited 15.00.', "You can't change or match prices.")
    has('us-ticket-court', 'No card numbers in chat.')
    has('de-stadtwerke', 'Du sagst nie zu, dass eine Sperrung oder Mahnung ausgesetzt wird.')
  })

  test('lose no word but markers, headings and lead-ins', () => {
    const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}']{4,}/gu))
    for (const [name, prompt] of Object.entries(PROMPTS)) {
      const kept = wordsOf(ruleSentences(prompt).join(' '))
      const words = [...wordsOf(prompt)]
      const lost = words.filter((word) => !kept.has(word))
      assert.ok(lost.length <= 0.08 * words.length, `${name} lost ${lost.join(' ')}`)
    }
  })

  test('of 5,000 words are read whole and in a moment', () => {
    const long = Array.from({ length: 8 }, (_, part) =>
      Object.values(PROMPTS).map((prompt) => prompt.replaceAll('You', `You${String(part)}`)),
    )
      .flat()
      .join('\n\n')
    assert.ok(long.split(/\s+/).length > 5000)
    const rules = ruleSentences(long)
    assert.ok(rules.length > 150 && rules.length <= 1000)
    assert.ok(rules.every((rule) => rule.length <= 800))
  })
})

test('any text is split without an error, into rules that are not repeated', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('- ', 'Never:', '| a | b |', '|---|', '1. ', 'A b c.', '\n', '\n\n', '## x', '```', 'Unless it is.', ';'), {
        maxLength: 30,
      }),
      fc.string(),
      (parts, text) => {
        const rules = ruleSentences(parts.join('') + text)
        assert.equal(new Set(rules).size, rules.length)
        assert.ok(rules.every((rule) => rule === rule.trim() && rule !== ''))
      },
    ),
  )
})
