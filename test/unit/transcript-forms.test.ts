// Every form that people have: a sample of each, with the exchanges that are in it; nothing is merged without saying so.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { FORMS } from '../../lib/transcripts/forms/index.js'
import { TRANSCRIPT_FORMATS } from '../../lib/transcripts/options.js'
import { parseTranscript, readTranscript, type TranscriptConversation, type TranscriptOptions } from '../../lib/transcripts/transcript.js'

const FOLDER = 'test/fixtures/transcripts'
const SYSTEM = 'You are the assistant of a garden shop.'
const HOURS = ['When are you open on Saturday?', 'From nine to four.'] as const
const ORDER = ['Where is my order 1042?', 'It left the warehouse this morning.'] as const
const CARD = ['Can you read me the card number on file?', "I can't share payment details."] as const

interface Expected {
  /** Conversations by name, each with its exchanges. */
  readonly conversations: Readonly<Record<string, readonly (readonly [string, string])[]>>
  /** Conversations with the shop's system prompt. */
  readonly instructed?: readonly string[]
  readonly options?: TranscriptOptions
}

const ALICE_AND_BOB = { alice: [HOURS, ORDER], bob: [CARD] }

/** Every file of the folder. */
const SAMPLES: Readonly<Record<string, Expected>> = {
  'openai-chat.json': { conversations: { 'openai-chat': [HOURS, ORDER, CARD] }, instructed: ['openai-chat'] },
  'openai-fine-tuning.jsonl': {
    conversations: { 'openai-fine-tuning:1': [HOURS, ORDER], 'openai-fine-tuning:2': [CARD] },
    instructed: ['openai-fine-tuning:1'],
  },
  'openai-responses.jsonl': { conversations: { resp_1: [HOURS, ORDER], resp_9: [CARD] }, instructed: ['resp_1'] },
  'anthropic.json': { conversations: { anthropic: [HOURS, ORDER, CARD] }, instructed: ['anthropic'] },
  'gemini.json': { conversations: { gemini: [HOURS, ORDER, CARD] }, instructed: ['gemini'] },
  'bedrock-converse.json': { conversations: { 'bedrock-converse': [HOURS, ORDER, CARD] }, instructed: ['bedrock-converse'] },
  'sharegpt.json': { conversations: { 'sg-1': [HOURS, ORDER], 'sg-2': [CARD] }, instructed: ['sg-1'] },
  'chatgpt-conversations.json': { conversations: { '67a-order': [HOURS, ORDER], '67b-card': [CARD] } },
  'claude-conversations.json': { conversations: { 'c0ffee-1': [HOURS, ORDER], 'c0ffee-2': [CARD] } },
  'langsmith-runs.jsonl': { conversations: ALICE_AND_BOB, instructed: ['alice'] },
  'langfuse-traces.jsonl': { conversations: ALICE_AND_BOB, instructed: ['alice'] },
  'helicone-requests.jsonl': { conversations: ALICE_AND_BOB, instructed: ['alice'] },
  'gateway-requests.jsonl': { conversations: { g1: [HOURS, ORDER], g9: [CARD] } },
  'ai-sdk-chat.json': { conversations: { 'chat-7': [HOURS, ORDER] } },
  'messages.jsonl': { conversations: ALICE_AND_BOB },
  'exchanges.jsonl': { conversations: ALICE_AND_BOB },
  'messages.csv': { conversations: ALICE_AND_BOB },
  'exchanges.csv': { conversations: ALICE_AND_BOB },
  'zendesk-tickets.csv': {
    conversations: { 1042: [HOURS, ORDER], 1043: [CARD] },
    options: { map: 'conversation=ticket_id,role=author_role,text=comment', assistantIs: ['bot'] },
  },
  'intercom-conversations.json': {
    conversations: { 215: [HOURS, ORDER], 216: [CARD] },
    options: {
      map: 'conversation=id,role=author.type,text=body,items=conversations[].conversation_parts.conversation_parts[]',
      assistantIs: ['bot,admin'],
    },
  },
  'slack-messages.json': {
    conversations: { C1: [HOURS, ORDER], C2: [CARD] },
    options: { map: 'conversation=channel,role=user,text=text,time=ts', assistantIs: ['U0BOT'] },
  },
}

async function read(file: string, options?: TranscriptOptions): Promise<TranscriptConversation[]> {
  const conversations: TranscriptConversation[] = []
  for await (const conversation of readTranscript(file, options)) conversations.push(conversation)
  return conversations
}

function exchangesOf(conversations: readonly TranscriptConversation[]): Record<string, [string, string][]> {
  return Object.fromEntries(
    conversations.map(({ id, exchanges }) => [id, exchanges.map(({ user, assistant }): [string, string] => [user, assistant])]),
  )
}

/** What is read and what is said about it. */
function parse(text: string, name: string, options: TranscriptOptions = {}): { read: Record<string, [string, string][]>; said: string[] } {
  const said: string[] = []
  const onNote = (note: string): void => void said.push(note)
  const conversations = parseTranscript(text, name, { ...options, onProblem: ({ message }) => void said.push(message), onNote })
  return { read: exchangesOf(conversations), said: [...said, ...conversations.flatMap(({ notes }) => notes)] }
}

describe('samples', () => {
  test('are those of the folder', () => {
    assert.deepEqual(readdirSync(FOLDER).sort(), Object.keys(SAMPLES).sort())
  })

  for (const [file, { conversations, instructed = [], options }] of Object.entries(SAMPLES)) {
    test(file, async () => {
      const found = await read(`${FOLDER}/${file}`, options)
      assert.deepEqual(exchangesOf(found), conversations)
      assert.ok(found.every(({ pending }) => pending.length === 0))
      for (const { id, exchanges } of found) {
        for (const { system } of exchanges) assert.equal(system, instructed.includes(id) ? SYSTEM : undefined)
      }
    })
  }

  test('of other forms are read after naming what is what, and the error says how to', () => {
    for (const [file, { options }] of Object.entries(SAMPLES).filter(([, expected]) => expected.options !== undefined)) {
      const { read: nothing, said } = parse(readFileSync(`${FOLDER}/${file}`, 'utf8'), file)
      assert.deepEqual(nothing, {})
      const [, suggested] = /--map '([^']+)'/.exec(said[0] ?? '') ?? []
      assert.ok(options?.map?.startsWith(suggested ?? '?'), suggested)
    }
  })

  test('are read the same line by line, and from an array', () => {
    const lines = readFileSync(`${FOLDER}/helicone-requests.jsonl`, 'utf8').trim().split('\n')
    assert.deepEqual(parse(`[${lines.join(',')}]`, 'requests.json').read, ALICE_AND_BOB)
    assert.deepEqual(parse(`{"data":[${lines.join(',\n')}]}`, 'requests.json').read, ALICE_AND_BOB)
    assert.deepEqual(parse(lines.join('\n'), 'standard input').read, ALICE_AND_BOB)
  })
})

describe('the list of forms', () => {
  for (const { name, example } of FORMS) {
    test(`${name}: its example is of that form, with and without asking for it`, () => {
      const found = parse(example, 'example')
      assert.deepEqual(Object.values(found.read)[0]?.[0], ['Are you open?', 'From nine.'])
      assert.deepEqual(found.said, [])
      assert.deepEqual(parse(example, 'example', { format: name }), found)
    })
  }

  test('is what format takes', () => {
    assert.ok(FORMS.every(({ name }) => TRANSCRIPT_FORMATS.includes(name)))
    assert.throws(() => parseTranscript('[]', 'x', { format: 'word' }), { code: 'INVALID_ARGUMENT', message: /format/ })
  })

  test('a form that is asked for refuses another', () => {
    const [openai, claude] = ['openai', 'claude'].map((name) => FORMS.find((form) => form.name === name)?.example ?? '')
    assert.match(parse(openai ?? '', 'x', { format: 'claude' }).said.join(), /x: field 'chat_messages' must be a list/)
    assert.match(parse(claude ?? '', 'x', { format: 'chatgpt' }).said.join(), /field 'mapping' must be an object/)
  })
})

describe('conversations are told apart', () => {
  for (const name of ['conversation', 'conversation_id', 'conversationId', 'session_id', 'sessionId', 'thread_id']) {
    test(`by ${name}`, () => {
      const row = (id: string, role: string, content: string): object => ({ [name]: id, role, content })
      const rows = [row('a', 'user', '1'), row('b', 'user', '2'), row('a', 'assistant', '3'), row('b', 'assistant', '4')]
      const expected = { a: [['1', '3']], b: [['2', '4']] }
      assert.deepEqual(parse(rows.map((one) => JSON.stringify(one)).join('\n'), 'x.jsonl'), { read: expected, said: [] })
      const csv = [`${name},role,content`, ...rows.map((one) => Object.values(one).join(','))].join('\n')
      assert.deepEqual(parse(csv, 'x.csv'), { read: expected, said: [] })
    })
  }

  test('by ids that are longer than a number can hold', () => {
    const line = (id: string, user: string): string => `{"conversation_id":${id},"at":1700000000000000,"user":"${user}","assistant":"yo"}`
    const said = 'say \\"12345678901234567892\\": 12345678901234567893, '
    const lines = [line('12345678901234567890', 'hi'), line('12345678901234567891', said), line('-12345678901234567890', 'hi')]
    const expected = {
      '12345678901234567890': [['hi', 'yo']],
      '12345678901234567891': [['say "12345678901234567892": 12345678901234567893, ', 'yo']],
      '-12345678901234567890': [['hi', 'yo']],
    }
    assert.deepEqual(parse(lines.join('\n'), 'x.jsonl').read, expected)
    assert.deepEqual(parse(`[${lines.join()}]`, 'x.json').read, expected)
    const long = line('12345678901234567890', 'a\\"b\\\\'.repeat(2_000_000))
    assert.deepEqual(Object.keys(parse(`[${long}]`, 'x.json').read), ['12345678901234567890'])
  })

  test('by a field that is named', () => {
    const csv = 'who,role,content,session_id\na,user,1,s\nb,user,2,s\na,assistant,3,s\nb,assistant,4,s\n'
    assert.deepEqual(parse(csv, 'x.csv', { conversationField: 'who' }).read, { a: [['1', '3']], b: [['2', '4']] })
  })

  test('by ids that repeat, but not by ids of messages', () => {
    const repeating = parse('id,role,content\na,user,1\na,assistant,2\nb,user,3\nb,assistant,4\n', 'x.csv')
    assert.deepEqual(repeating.read, { a: [['1', '2']], b: [['3', '4']] })
    assert.match(repeating.said.join(), /separated by the field 'id'/)
    const single = parse('{"id":"m1","role":"user","content":"1"}\n{"id":"m2","role":"assistant","content":"2"}\n', 'x.jsonl')
    assert.deepEqual(single.read, { x: [['1', '2']] })
    assert.match(single.said.join(), /all 2 lines .* were taken as one conversation/)
  })

  test('requests without a session by their history: two chats that begin alike are two', () => {
    const request = (reply: string, ...texts: string[]): string => {
      const messages = texts.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }))
      return JSON.stringify({ request: { messages }, response: { choices: [{ message: { role: 'assistant', content: reply } }] } })
    }
    const lines = [request('hello', 'hi'), request('hello', 'hi'), request('b', 'hi', 'hello', 'a'), request('d', 'hi', 'hello', 'c')]
    const { read: found } = parse(lines.join('\n'), 'x.jsonl')
    assert.deepEqual(
      Object.values(found)
        .map((exchanges) => exchanges.map(([user]) => user))
        .sort(),
      [
        ['hi', 'a'],
        ['hi', 'c'],
      ],
    )
  })

  test('an edited history within a session is a conversation of its own', () => {
    const trace = (input: object[], output: string): string => JSON.stringify({ sessionId: 's', input, output })
    const said = (role: string, content: string): object => ({ role, content })
    const first = [said('user', 'a')]
    const lines = [trace(first, 'b'), trace([...first, said('assistant', 'b'), said('user', 'c')], 'd')]
    const edited = trace([...first, said('assistant', 'other'), said('user', 'e')], 'f')
    const { read: found, said: notes } = parse([...lines, edited].join('\n'), 'x.jsonl')
    assert.deepEqual(found, {
      s: [
        ['a', 'b'],
        ['c', 'd'],
      ],
      's~2': [
        ['a', 'other'],
        ['e', 'f'],
      ],
    })
    assert.match(notes.join(), /its history differs/)
  })

  test('branches of an export are read when asked for, and counted when not', async () => {
    for (const [file, id, other] of [
      ['chatgpt-conversations.json', '67a-order', ['Where is my order?', 'Which one?']],
      ['claude-conversations.json', 'c0ffee-1', ['And on Monday?', 'Closed.']],
    ] as const) {
      const all = exchangesOf(await read(`${FOLDER}/${file}`, { allBranches: true }))
      assert.deepEqual(all[id], [HOURS, ORDER])
      assert.deepEqual(all[`${id}~2`], [HOURS, other])
      const [shown] = await read(`${FOLDER}/${file}`)
      assert.match(shown?.notes.join() ?? '', /1 other branch/)
    }
  })
})

describe('what cannot be read', () => {
  const good = (name: string): string => JSON.stringify({ conversation: name, user: 'Hours?', assistant: 'Nine.' })

  test('is named with line and field, and the rest is read', () => {
    const lines = [
      good('a'),
      'npm WARN something',
      '{"conversation":"a","role":"user","content":null}',
      '[7]',
      good('b'),
      '{oops',
      '{"x":1}',
    ]
    const { read: found, said } = parse(lines.join('\n'), 'log.jsonl')
    assert.deepEqual(Object.keys(found), ['a', 'b'])
    assert.equal(said.length, 5)
    assert.match(said[0] ?? '', /^log\.jsonl: line 2: it is not JSON/)
    assert.match(said[1] ?? '', /^log\.jsonl: line 3: field 'content' must be a string .*got null$/)
    assert.match(said[2] ?? '', /^log\.jsonl: line 4: .*got an array$/)
    assert.match(said[3] ?? '', /^log\.jsonl: line 6: it is not JSON/)
    assert.match(said[4] ?? '', /^log\.jsonl: line 7: its form is not known \(it has x\)/)
  })

  test('is one entry of a conversation, not all of it', () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'oracle', content: 'b' },
      { role: 'assistant', content: 'c' },
    ]
    const { read: found, said } = parse(JSON.stringify({ messages }), 'x.json')
    assert.deepEqual(found, { x: [['a', 'c']] })
    assert.match(said.join(), /^x\.json: entry 2: field 'role' must be one of .*--assistant-is names others\), got "oracle"$/)
  })

  test('may be the first line of JSON lines', () => {
    for (const name of ['x.jsonl', 'x.json', 'standard input']) {
      assert.deepEqual(Object.keys(parse(`{oops\n${good('a')}\n${good('b')}\n`, name).read), ['a', 'b'], name)
    }
    assert.deepEqual(Object.keys(parse(`npm WARN\n${good('a')}\n`, 'standard input').read), ['a'])
  })

  test('is a row of CSV, and an open quote loses no other row', () => {
    const csv = 'conversation,role,content\na,user,1\na,assistant,"2\na,user,3,4\na,user,5" wide\na,assistant,"6\n7"\n'
    const { read: found, said } = parse(csv, 'x.csv')
    assert.deepEqual(found, { a: [['1\n5" wide', '6\n7']] })
    assert.deepEqual(
      said.map((one) => one.slice(0, 35)),
      ['x.csv: line 3: it is not CSV: Inval', 'x.csv: line 4: it is not CSV: the h'],
    )
  })

  test('a reply of tool calls only, or without words, is no exchange', () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: '' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: 'r' }] },
      { role: 'assistant', content: 'b' },
    ]
    const { read: found, said } = parse(JSON.stringify({ messages }), 'x.json')
    assert.deepEqual(found, { x: [['a', 'b']] })
    assert.match(said.join(), /1 reply\(s\) without words/)
  })
})

describe('kinds of files', () => {
  const rows = [
    ['conversation', 'speaker', 'message'],
    ['c', 'user', 'Où est ma commande ?'],
    ['c', 'llm', 'Elle est prête – été'],
  ]
  const expected = { c: [['Où est ma commande ?', 'Elle est prête – été']] }

  for (const [name, delimiter] of [
    ['commas', ','],
    ['semicolons', ';'],
    ['tabs', '\t'],
  ] as const) {
    test(`CSV with ${name}`, () => {
      const text = rows.map((row) => row.join(delimiter)).join('\r\n')
      for (const file of ['x.csv', 'x.tsv', 'standard input']) assert.deepEqual(parse(text, file).read, expected)
      assert.deepEqual(parse(`sep=${delimiter}\n${text}`, 'x.csv').read, expected)
    })
  }

  const text = rows.map((row) => row.join(';')).join('\n')
  const windows1252 = Buffer.from(text.replace('–', '\u0096'), 'latin1')
  const big = Buffer.from(`\ufeff${text}`, 'utf16le').swap16()
  for (const [name, bytes] of [
    ['UTF-8 with a mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16 without a mark', Buffer.from(text, 'utf16le')],
    ['UTF-16, big-endian', big],
    ['Windows-1252', windows1252],
  ] as const) {
    test(`in ${name}`, async () => {
      const { mkdtemp, rm, writeFile } = await import('node:fs/promises')
      const folder = await mkdtemp('/tmp/gabion-encoding-')
      try {
        await writeFile(`${folder}/x.csv`, bytes)
        const notes: string[] = []
        assert.deepEqual(exchangesOf(await read(`${folder}/x.csv`, { onNote: (note) => void notes.push(note) })), expected)
        if (name === 'Windows-1252') assert.match(notes.join(), /line 2 is not UTF-8; .*read as Windows-1252$/)
        else assert.deepEqual(notes, [])
      } finally {
        await rm(folder, { recursive: true })
      }
    })
  }

  test('JSON over several lines is a document whatever it is called, and so are several of them', () => {
    const document = JSON.stringify(
      {
        id: 'a',
        messages: [
          { role: 'user', content: '1' },
          { role: 'assistant', content: '2' },
        ],
      },
      null,
      2,
    )
    assert.deepEqual(parse(document, 'x.jsonl').read, { a: [['1', '2']] })
    assert.deepEqual(parse(`${document}\n${document.replace('"a"', '"b"')}\n`, 'x.json').read, { a: [['1', '2']], b: [['1', '2']] })
  })

  test('messages that are newest first are turned around', () => {
    const list = [
      { created_at: 3, role: 'assistant', content: 'd' },
      { created_at: 3, role: 'user', content: 'c' },
      { created_at: 1, role: 'assistant', content: 'b' },
      { created_at: 1, role: 'user', content: 'a' },
    ]
    const { read: found, said } = parse(JSON.stringify({ object: 'list', data: list }), 'x.json')
    assert.deepEqual(found, {
      x: [
        ['a', 'b'],
        ['c', 'd'],
      ],
    })
    assert.match(said.join(), /newest first/)
  })
})

describe('a map', () => {
  const parseMapped = (value: object, map: string, assistantIs?: string[]): ReturnType<typeof parse> =>
    parse(JSON.stringify(value), 'x.json', { map, ...(assistantIs !== undefined && { assistantIs }) })

  test('finds conversation, speaker and text in paths, and lists in lists', () => {
    const comments = [
      { author: { type: 'customer' }, body: ['a', 'b'] },
      { author: { type: 'helper' }, body: ['c'] },
    ]
    const value = {
      tickets: [
        { ticket: { id: 5 }, comments },
        { ticket: { id: 6 }, comments: [] },
      ],
    }
    const map = 'conversation=ticket.id,role=author.type,text=body,items=tickets[].comments[]'
    assert.deepEqual(parseMapped(value, map, ['helper']).read, { 5: [['a\nb', 'c']] })
    const { read: half, said } = parseMapped(value, map)
    assert.deepEqual(half, { 5: [] })
    assert.match(said.join(), /item 2: 'author\.type' must be one of .*got "helper"/)
  })

  test('takes exchanges, and columns with commas and dots in their names', () => {
    const csv = '"asked, by user",reply.text,case\na,b,c1\n'
    const map = 'user="asked, by user",assistant=reply.text,conversation=case'
    assert.deepEqual(parse(csv, 'x.csv', { map }).read, { c1: [['a', 'b']] })
  })

  test('says what is wrong with it', () => {
    for (const [map, message] of [
      ['role=a', /must name role and text, or user and assistant/],
      ['rolle=a,text=b', /'rolle=a' is not one of conversation, role/],
      ['role=a,text=', /'text=' is not one of/],
    ] as const) {
      assert.throws(() => parseTranscript('{}', 'x', { map }), { code: 'INVALID_ARGUMENT', message })
    }
    const { said } = parseMapped({ a: 1 }, 'role=r,text=t,items=list[]')
    assert.match(said.join(), /there is no list at 'items=list\[\]'/)
  })
})
