// Followed streams: turns that arrive as lines, given on as soon as they are whole.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { followTranscript, type FollowedEvent } from '../../lib/transcripts/follow.js'
import { decodedLines } from '../../lib/transcripts/encoding.js'

async function* chunksOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

async function all(...chunks: (string | Uint8Array)[]): Promise<FollowedEvent[]> {
  const events: FollowedEvent[] = []
  for await (const event of followTranscript(chunksOf(...chunks), 'live')) events.push(event)
  return events
}

function exchange(conversation: string, user: string, assistant: string, context: string[] = []): FollowedEvent {
  return { kind: 'exchange', conversation, exchange: { user, assistant, context } }
}

describe('JSON lines', () => {
  test('messages of several conversations are put together, each on its own', async () => {
    const lines = [
      { conversation: 'a', speaker: 'user', message: 'one' },
      { conversation: 'b', role: 'user', content: 'two' },
      { conversation: 'a', speaker: 'llm', message: 'three' },
      { thread_id: 'b', user: 'four', assistant: 'five' },
      {
        id: 9,
        turns: [
          { user: 'six', model: 'seven' },
          { role: 'user', text: 'eight' },
        ],
      },
      { speaker: 'ai', message: 'nine' },
    ]
    assert.deepEqual(await all(...lines.map((line) => `${JSON.stringify(line)}\n`)), [
      exchange('a', 'one', 'three'),
      exchange('b', 'two\nfour', 'five'),
      exchange('9', 'six', 'seven'),
      exchange('stream', '', 'nine'),
      { kind: 'pending', conversation: '9', pending: ['eight'] },
    ])
  })

  test('a system prompt is in force from its line on', async () => {
    const lines = [
      { conversation: 'a', user: 'one', assistant: 'two' },
      { conversation: 'a', system: 'be kind', user: 'three', assistant: 'four' },
      { conversation: 'b', system: 'be brief', turns: [{ user: 'five', assistant: 'six' }] },
      { conversation: 'a', user: 'seven', assistant: 'eight' },
    ]
    const events = await all(...lines.map((line) => `${JSON.stringify(line)}\n`))
    assert.deepEqual(
      events.map((event) => (event.kind === 'exchange' ? event.exchange.system : event.kind)),
      [undefined, 'be kind', 'be brief', 'be kind'],
    )
  })

  test('an exchange is given on while the stream stays open', async () => {
    const stream = new PassThrough()
    const events = followTranscript(stream, 'live')
    stream.write('{"user": "a", "model": "b"}\n{"user"')
    assert.deepEqual((await events.next()).value, exchange('stream', 'a', 'b'))
    stream.write(': "c", "model": "d"}\n')
    assert.deepEqual((await events.next()).value, exchange('stream', 'c', 'd'))
    stream.end()
    assert.equal((await events.next()).done, true)
  })

  test('a line delivered twice counts once', async () => {
    const line = '{"turn": 3, "user": "a", "model": "b"}\n'
    assert.deepEqual(await all(line, line), [exchange('stream', 'a', 'b')])
  })

  test('errors name the line and the field', async () => {
    await assert.rejects(all('{"user":"a","model":"b"}\n\n{"role":"oracle","text":"c"}\n'), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 3: field 'role'/,
    })
    await assert.rejects(all('{"user":\n'), { code: 'TRANSCRIPT_INVALID', message: /^live: line 1: it is not JSON/ })
    await assert.rejects(all('{"turns":[{"role":"user","text":1}]}'), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 1: entry 1: field 'text'/,
    })
    await assert.rejects(all('{"user":"a","model":"b"}\n7\n'), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 2: a conversation must be an object/,
    })
  })

  test('nothing at all is no error', async () => {
    assert.deepEqual(await all('\n', ' \n'), [])
  })
})

describe('CSV', () => {
  test('rows are given on while the stream stays open, quoted line breaks and all', async () => {
    const stream = new PassThrough()
    const events = followTranscript(stream, 'live')
    stream.write('turn,speaker,message\r\n1,user,"a\n\nb"\n1,llm,c\n')
    assert.deepEqual((await events.next()).value, exchange('stream', 'a\n\nb', 'c'))
    stream.write('2,user,d\n')
    stream.end()
    assert.deepEqual((await events.next()).value, { kind: 'pending', conversation: 'stream', pending: ['d'] })
    assert.equal((await events.next()).done, true)
  })

  test('a quote that is never closed is an error', async () => {
    await assert.rejects(all('turn,speaker,message\n1,user,"x\n1,llm,y\n'), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 2: .*quote is not closed/,
    })
  })

  test('errors name the line and the field', async () => {
    await assert.rejects(all('turn,speaker,message\n1,user,x\n1,oracle,y\n'), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 3: field 'speaker'/,
    })
    await assert.rejects(all('turn,speaker,message\n1,user,x,y\n'), { code: 'TRANSCRIPT_INVALID', message: /^live: line 2: it is not CSV/ })
    await assert.rejects(all('turn,speaker,message\n', new Uint8Array([0xff, 0x00, 0x0a])), {
      code: 'TRANSCRIPT_INVALID',
      message: /^live: line 2: it is not text/,
    })
  })
})

test('lines do not depend on where the stream was cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: 'grapheme' }).filter((s) => s.trim() !== '' && !/[\n\r\uFEFF]/.test(s))),
      fc.integer({ min: 1, max: 7 }),
      async (lines, size) => {
        const bytes = Buffer.from(lines.join('\n'))
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
        const found: string[] = []
        for await (const { number, text } of decodedLines(chunksOf(...chunks), 'x', (note) => assert.equal(note, ''))) {
          assert.equal(text, lines[number - 1])
          found.push(text)
        }
        assert.deepEqual(found, lines)
      },
    ),
  )
})
