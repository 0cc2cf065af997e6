// Transcripts: every form, the exchange rules, and errors that say where and what.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { ExchangeAssembler, type Message } from '../../lib/transcripts/exchanges.js'
import { inOrder } from '../../lib/transcripts/order.js'
import { parseTranscript, readTranscript, type TranscriptConversation } from '../../lib/transcripts/transcript.js'

function only(conversations: readonly TranscriptConversation[]): TranscriptConversation {
  assert.equal(conversations.length, 1)
  return conversations[0] as TranscriptConversation
}

function pairs({ exchanges }: TranscriptConversation): [string, string][] {
  return exchanges.map(({ user, assistant }) => [user, assistant])
}

const TWO_TURNS: [string, string][] = [
  ['hello', 'good day'],
  ['my order?', 'on its way'],
]

describe('forms', () => {
  const spoken = [
    { turn: 1, speaker: 'user', message: 'hello' },
    { turn: 1, speaker: 'llm', message: 'good day' },
    { turn: 2, speaker: 'User', message: 'my order?' },
    { turn: 2, speaker: 'AI', message: 'on its way' },
  ]
  const chat = spoken.map(({ speaker, message }) => ({ role: speaker.toLowerCase() === 'user' ? 'user' : 'assistant', content: message }))
  const exchanges = TWO_TURNS.map(([user, model]) => ({ user, model }))
  const documents: [string, unknown][] = [
    ['conversation of speakers', { conversation: spoken }],
    ['turns of speakers', { turns: spoken, source: 'ignored' }],
    ['chat messages', chat],
    ['chat messages in an object', { messages: chat }],
    ['exchanges', { turns: exchanges }],
    ['exchanges with assistant', { turns: TWO_TURNS.map(([user, assistant]) => ({ user, assistant })) }],
    ['roles with text', { turns: chat.map(({ role, content }) => ({ role, text: content, extra: [1] })) }],
    ['content in parts', chat.map(({ role, content }) => ({ role, content: [{ type: 'text', text: content }, { type: 'image_url' }] }))],
  ]
  for (const [name, document] of documents) {
    test(`${name}, as a document and as a line`, () => {
      for (const text of [JSON.stringify(document), JSON.stringify(document, null, 2), `\uFEFF${JSON.stringify(document)}\r\n`]) {
        const conversation = only(parseTranscript(text, 'some/folder/chat.json'))
        assert.equal(conversation.id, 'chat')
        assert.deepEqual(pairs(conversation), TWO_TURNS)
        assert.deepEqual(conversation.pending, [])
        assert.deepEqual(conversation.notes, [])
      }
      assert.deepEqual(pairs(only(parseTranscript(JSON.stringify(document), 'x', 'jsonl'))), TWO_TURNS)
    })
  }

  test('many conversations, a line each', () => {
    const lines = [{ id: 'a', turns: chat }, { id: 7, turns: exchanges }, { turns: [] }]
    const text = `${lines.map((line) => JSON.stringify(line)).join('\n\n')}\n`
    for (const name of ['many.jsonl', 'many.ndjson', 'many.json', 'standard input']) {
      const conversations = parseTranscript(text, name)
      const base = name.replace(/\..*/, '')
      assert.deepEqual(
        conversations.map(({ id }) => id),
        ['a', '7', `${base}:5`],
      )
      assert.deepEqual(
        conversations.map(({ exchanges: list }) => list.length),
        [2, 2, 0],
      )
    }
  })

  test('many conversations in one document', () => {
    const conversations = parseTranscript(JSON.stringify([{ id: 'a', turns: chat }, { conversation: spoken }]), 'all.json')
    assert.deepEqual(
      conversations.map(({ id }) => id),
      ['a', 'all:2'],
    )
  })

  test('CSV with quotes, line breaks, other column order and further columns', () => {
    const text =
      '\uFEFFSpeaker, Turn ,message,mood\r\nuser,1,"hello, ""you""\r\nthere",good\r\nassistant,1,good day,\r\n\r\nuser,2,bye,\r\n'
    const conversation = only(parseTranscript(text, 'chat.csv'))
    assert.deepEqual(pairs(conversation), [['hello, "you"\nthere', 'good day']])
    assert.deepEqual(conversation.pending, ['bye'])
  })

  test('CSV is told apart from its text alone', () => {
    assert.equal(only(parseTranscript('turn,speaker,message\n1,user,a\n1,llm,b\n', 'standard input')).exchanges.length, 1)
  })

  test('CSV with a conversation column holds several', () => {
    const text = 'conversation,turn,speaker,message\na,1,user,x\nb,1,user,y\na,1,llm,ax\nb,1,llm,by\n'
    const conversations = parseTranscript(text, 'two.csv')
    assert.deepEqual(
      conversations.map((one) => [one.id, ...pairs(one)]),
      [
        ['a', ['x', 'ax']],
        ['b', ['y', 'by']],
      ],
    )
  })
})

describe('exchanges', () => {
  const message = (role: string, content: string): object => ({ role, content })

  test('user messages since the last reply are joined, context is kept, and the rest is pending', () => {
    const conversation = only(
      parseTranscript(
        JSON.stringify([
          message('system', 'be kind'),
          message('assistant', 'welcome'),
          message('user', 'one'),
          message('tool', 'looked up'),
          message('user', 'two'),
          message('assistant', 'three'),
          message('assistant', 'four'),
          message('user', 'five'),
          message('user', 'six'),
        ]),
        'chat.json',
      ),
    )
    assert.deepEqual(conversation.exchanges, [
      { user: '', assistant: 'welcome', context: ['be kind'], system: 'be kind' },
      { user: 'one\ntwo', assistant: 'three', context: ['looked up'], system: 'be kind' },
      { user: '', assistant: 'four', context: [], system: 'be kind' },
    ])
    assert.deepEqual(conversation.pending, ['five', 'six'])
  })

  test('have the system prompt in force: several system messages in a row are one, a later one replaces it', () => {
    const messages = [
      message('developer', 'one'),
      message('system', 'two'),
      message('assistant', 'a'),
      message('system', 'three'),
      message('user', 'b'),
      message('assistant', 'c'),
    ]
    const systems = (document: object): (string | undefined)[] =>
      only(parseTranscript(JSON.stringify(document), 'chat.json')).exchanges.map(({ system }) => system)
    assert.deepEqual(systems(messages), ['one\ntwo', 'three'])
    assert.deepEqual(systems({ system: 'zero', turns: messages.slice(2) }), ['zero', 'three'])
    assert.deepEqual(
      systems({
        turns: [
          { user: 'a', assistant: 'b' },
          { system: 'x', user: 'c', model: 'd' },
        ],
      }),
      [undefined, 'x'],
    )
    assert.throws(() => parseTranscript(JSON.stringify({ system: 1, turns: [] }), 'chat.json'), { message: /'system' must be a string/ })
  })

  test('a reply that only calls tools is context', () => {
    const calls = { role: 'assistant', content: null, tool_calls: [{ id: 1 }] }
    const conversation = only(parseTranscript(JSON.stringify([message('user', 'a'), calls, message('assistant', 'b')]), 'chat.json'))
    assert.deepEqual(conversation.exchanges, [{ user: 'a', assistant: 'b', context: ['[{"id":1}]'] }])
  })

  test('an exchange without a reply is pending', () => {
    const conversation = only(
      parseTranscript(
        JSON.stringify({
          turns: [
            { user: 'a', model: 'b' },
            { user: 'c', model: null },
          ],
        }),
        'x.json',
      ),
    )
    assert.deepEqual(pairs(conversation), [['a', 'b']])
    assert.deepEqual(conversation.pending, ['c'])
  })

  test('turns out of order are sorted, and it is said', () => {
    const turns = [
      { turn: 2, speaker: 'user', message: 'c' },
      { turn: 2, speaker: 'llm', message: 'd' },
      { turn: 1, speaker: 'user', message: 'a' },
      { turn: '1', speaker: 'llm', message: 'b' },
    ]
    const conversation = only(parseTranscript(JSON.stringify({ turns }), 'x.json'))
    assert.deepEqual(pairs(conversation), [
      ['a', 'b'],
      ['c', 'd'],
    ])
    assert.match(conversation.notes.join(), /sorted/)
  })

  test('without a number on every message the order of the file stands', () => {
    const turns = [
      { turn: 2, user: 'c', model: 'd' },
      { user: 'x', model: 'y' },
      { turn: 1, user: 'a', model: 'b' },
    ]
    assert.deepEqual(pairs(only(parseTranscript(JSON.stringify({ turns }), 'x.json'))), [
      ['c', 'd'],
      ['x', 'y'],
      ['a', 'b'],
    ])
  })

  test('messages delivered twice under one number are dropped, and it is said', () => {
    const turns = [
      { turn: 1, speaker: 'user', message: 'a' },
      { turn: 1, speaker: 'user', message: 'a' },
      { turn: 1, speaker: 'llm', message: 'b' },
      { turn: 1, speaker: 'llm', message: 'b' },
      { turn: 2, speaker: 'user', message: 'a' },
      { turn: 2, speaker: 'llm', message: 'b' },
    ]
    const conversation = only(parseTranscript(JSON.stringify({ turns }), 'x.json'))
    assert.deepEqual(pairs(conversation), [
      ['a', 'b'],
      ['a', 'b'],
    ])
    assert.match(conversation.notes.join(), /2 repeated/)
    const unnumbered = turns.map(({ speaker, message: text }) => ({ speaker, message: text }))
    assert.equal(only(parseTranscript(JSON.stringify({ turns: unnumbered }), 'x.json')).exchanges.length, 3)
  })

  const messages = fc.array(
    fc.record({
      role: fc.constantFrom('user' as const, 'assistant' as const, 'system' as const, 'context' as const),
      text: fc.string(),
      turn: fc.constant(null),
    }),
  )

  test('there is one a reply, and no word of the user is lost', () => {
    fc.assert(
      fc.property(messages, (list: Message[]) => {
        const assembler = new ExchangeAssembler()
        const exchanges = list.map((one) => assembler.push(one)).filter((one) => one !== null)
        assert.deepEqual(
          exchanges.map(({ assistant }) => assistant),
          list.filter(({ role }) => role === 'assistant').map(({ text }) => text),
        )
        const said = list.filter(({ role }) => role === 'user').map(({ text }) => text)
        const kept = exchanges.map(({ user }) => user).concat(assembler.pending)
        assert.equal(kept.join('').replaceAll('\n', ''), said.join('').replaceAll('\n', ''))
      }),
    )
  })

  test('ordering by turn keeps every message and the order within a turn', () => {
    const numbered = fc.array(fc.record({ role: fc.constant('user' as const), text: fc.string(), turn: fc.integer({ min: 1, max: 4 }) }))
    fc.assert(
      fc.property(numbered, (list: Message[]) => {
        const { items: sorted } = inOrder(list)
        for (const turn of [1, 2, 3, 4]) {
          const of = (some: readonly Message[]): string[] => some.filter((one) => one.turn === turn).map(({ text }) => text)
          assert.deepEqual(of(sorted), of(list))
        }
        assert.ok(sorted.every((one, index) => index === 0 || Number(one.turn) >= Number(sorted[index - 1]?.turn)))
      }),
    )
  })
})

describe('errors', () => {
  const json = (value: unknown): string => JSON.stringify(value)
  const cases: [string, string, string, RegExp][] = [
    ['an empty file', 'a.json', ' \n', /^a\.json: it contains no conversation$/],
    ['broken JSON', 'a.json', '{\n "turns": [\n {"a" 1}\n]}', /^a\.json: line 3: it is not JSON/],
    ['words in a JSON file', 'a.json', 'hello there', /^a\.json: (line 1: )?it is not JSON/],
    ['a number', 'a.json', '[1, 2]', /^a\.json: entry 1: a conversation must be an object or a list of messages, got 1$/],
    ['an object without turns', 'a.json', '{"items": []}', /^a\.json: its form is not known \(it has items\)/],
    ['turns that are no list', 'a.json', '{"turns": {}}', /^a\.json: field 'turns'/],
    ['no speaker', 'a.json', json({ turns: [{ message: 'x' }] }), /^a\.json: entry 1: field 'speaker' \(or 'role'\) is missing$/],
    [
      'an unknown speaker',
      'a.json',
      json([
        { role: 'user', content: 'x' },
        { role: 'oracle', content: 'x' },
      ]),
      /^a\.json: entry 2: field 'role' must be one of user, .*got "oracle"$/,
    ],
    [
      'no message',
      'a.json',
      json({ turns: [{ role: 'user' }] }),
      /^a\.json: entry 1: field 'message' \(or 'content', 'text'\) is missing$/,
    ],
    [
      'a message that is no text',
      'a.json',
      json([{ role: 'user', content: 5 }]),
      /^a\.json: entry 1: field 'content' must be a string or a list of parts, got 5$/,
    ],
    ['a part that is no text', 'a.json', json([{ role: 'user', content: [5] }]), /^a\.json: entry 1: field 'content' has a part/],
    [
      'a turn that is no number',
      'a.json',
      json([{ turn: 'first', role: 'user', content: 'x' }]),
      /^a\.json: entry 1: field 'turn' must be a number, got "first"$/,
    ],
    ['an id that is no name', 'a.json', json({ id: {}, turns: [] }), /^a\.json: field 'id'/],
    ['a broken line', 'a.jsonl', '{"turns": []}\n\n{"turns"', /^a\.jsonl: line 3: it is not JSON/],
    [
      'a wrong field in a line',
      'a.jsonl',
      `{"turns": []}\n${json({
        turns: [
          { role: 'user', text: 'x' },
          { role: 'user', text: {} },
        ],
      })}`,
      /^a\.jsonl: line 2: entry 2: field 'text'/,
    ],
    ['a line that is no conversation', 'a.jsonl', '7', /^a\.jsonl: line 1: a conversation must be/],
    ['a user without words', 'a.json', json([{ role: 'user', content: null }]), /^a\.json: entry 1: field 'content' .*got null$/],
    [
      'a wrong entry in one conversation of many',
      'a.json',
      json([{ turns: [] }, { turns: [{ role: 'x' }] }]),
      /^a\.json: conversation 2: entry 1: field 'role'/,
    ],
    ['CSV without the header', 'a.csv', 'one,two\n1,2\n', /^a\.csv: its form is not known \(it has one, two\)/],
    ['CSV with a header only', 'a.csv', 'turn,speaker,message\n', /^a\.csv: it contains no message: expected a header/],
    [
      'CSV with an unknown speaker',
      'a.csv',
      'turn,speaker,message\n1,user,x\n1,oracle,y\n',
      /^a\.csv: line 3: field 'speaker' must be one of .*got "oracle"$/,
    ],
    ['CSV with an unquoted comma', 'a.csv', 'turn,speaker,message\n1,user,one, two\n', /^a\.csv: line 2: it is not CSV/],
    ['CSV with an open quote', 'a.csv', 'turn,speaker,message\n1,user,"x\n', /^a\.csv: line \d: it is not CSV/],
  ]
  for (const [name, file, text, message] of cases) {
    test(name, () => {
      assert.throws(() => parseTranscript(text, file), { code: 'TRANSCRIPT_INVALID', message })
    })
  }

  test('never repeat long texts of the transcript', () => {
    const secret = 'the secret is out '.repeat(9)
    assert.throws(
      () => parseTranscript(json([{ role: secret, content: secret }]), 'a.json'),
      ({ message }: Error) => !message.includes('secret') && message.includes('a string of 162 characters'),
    )
  })
})

describe('files', () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'gabion-transcript-'))))
  after(() => rm(folder, { recursive: true }))

  async function read(file: string): Promise<TranscriptConversation[]> {
    const conversations: TranscriptConversation[] = []
    for await (const conversation of readTranscript(file)) conversations.push(conversation)
    return conversations
  }

  test('are read whole, or line by line with their numbers', async () => {
    const line = JSON.stringify({ turns: [{ user: 'grüße', model: 'ça va' }] })
    const one = join(folder, 'one.json')
    const many = join(folder, 'many.jsonl')
    await writeFile(one, line)
    await writeFile(many, `\uFEFF${line}\r\n\r\n${line}`)
    assert.deepEqual(
      (await read(one)).map((c) => [c.id, ...pairs(c)]),
      [['one', ['grüße', 'ça va']]],
    )
    assert.deepEqual(
      (await read(many)).map((c) => [c.id, ...pairs(c)]),
      [
        ['many:1', ['grüße', 'ça va']],
        ['many:3', ['grüße', 'ça va']],
      ],
    )
  })

  test('a line is given before a later one fails', async () => {
    const file = join(folder, 'half.jsonl')
    await writeFile(file, '{"turns":[]}\n{"turns":7}\n')
    const reading = readTranscript(file)
    const first = (await reading.next()) as IteratorResult<TranscriptConversation, undefined>
    assert.equal(first.value?.id, 'half:1')
    await assert.rejects(reading.next(), { code: 'TRANSCRIPT_INVALID', message: /half\.jsonl: line 2: field 'turns'/ })
  })

  test('that cannot be read are errors naming the file', async () => {
    const bytes = join(folder, 'bytes.json')
    await writeFile(bytes, Buffer.from([0x7b, 0x80, 0x00, 0x01, 0x7d]))
    const lines = join(folder, 'bytes.jsonl')
    await writeFile(lines, Buffer.from([0x7b, 0x7d, 0x0a, 0x81, 0x00, 0x02, 0x0a]))
    const empty = join(folder, 'empty.jsonl')
    await writeFile(empty, '\n')
    await assert.rejects(read(bytes), { code: 'TRANSCRIPT_INVALID', message: /bytes\.json: line 1: it is not text/ })
    await assert.rejects(read(lines), { code: 'TRANSCRIPT_INVALID', message: /bytes\.jsonl: line 1: its form is not known/ })
    await assert.rejects(read(empty), { code: 'TRANSCRIPT_INVALID', message: /empty\.jsonl: it contains no conversation/ })
    for (const absent of ['absent.json', 'absent.jsonl', 'absent.csv', '.']) {
      await assert.rejects(read(join(folder, absent)), { code: 'TRANSCRIPT_INVALID', message: /cannot be read: E/ })
    }
  })
})
