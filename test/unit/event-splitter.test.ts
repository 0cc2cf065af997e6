// Streams of server-sent events are cut behind empty lines only, with any line ending and however the bytes are chunked.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { dataOf, EventSplitter, isEnd, linesOf } from '../../lib/server/proxy/event-splitter.js'

const ENDINGS = ['\n', '\r\n', '\r'] as const

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('data: [DONE]', '[DONE]', ': gabion {}', '{"a":1}', ''))
const line = fc.oneof(
  fc
    .tuple(fc.constantFrom('data: ', 'data:', 'event: ', 'id: ', ': ', ''), text)
    .map(([field, value]) => field + value.replace(/[\r\n]/g, '')),
  fc.constantFrom('data: [DONE]', 'data'),
)
const event = fc.array(
  line.filter((one) => one !== ''),
  { minLength: 1, maxLength: 4 },
)

/** Events of one line ending, as a stream. */
const stream = fc.record({ ending: fc.constantFrom(...ENDINGS), events: fc.array(event, { maxLength: 8 }) }).map(({ ending, events }) => ({
  ending,
  wire: events.map((lines) => Buffer.from(lines.map((one) => one + ending).join('') + ending)),
}))

function chunked(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((place, index) => bytes.subarray(place, places[index] ?? bytes.length))
}

function split(chunks: readonly Buffer[]): { events: Buffer[]; rest: Buffer } {
  const splitter = new EventSplitter()
  const events = chunks.flatMap((chunk) => splitter.push(chunk))
  const { rest, whole } = splitter.finish()
  return whole ? { events: [...events, rest], rest: Buffer.alloc(0) } : { events, rest }
}

const cuts = fc.array(fc.nat(500), { maxLength: 12 })

describe('EventSplitter', () => {
  it('gives the events that were sent, with any line ending and any chunking', () => {
    fc.assert(
      fc.property(stream, cuts, ({ wire }, at) => {
        const { events, rest } = split(chunked(Buffer.concat(wire), at))
        assert.deepEqual(events, wire)
        assert.equal(rest.length, 0)
      }),
      { numRuns: 1000 },
    )
  })

  it('loses and moves no byte of anything, and a cut stands behind an empty line', () => {
    const noise = fc
      .array(fc.constantFrom('\n', '\r', '\r\n', 'a', 'data: x', 'data: [DONE]'), { maxLength: 30 })
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(noise, cuts, (sent, at) => {
        const { events, rest } = split(chunked(Buffer.from(sent), at))
        assert.equal(Buffer.concat([...events, rest]).toString(), sent)
        let before = ''
        for (const one of events) {
          before += one.toString()
          assert.deepEqual(before.split(/\r\n|\n|\r/).slice(-2), ['', ''], JSON.stringify([sent, before]))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('gives an event as soon as its empty line is there', () => {
    for (const ending of ['\n', '\r\n', '\r']) {
      assert.equal(new EventSplitter().push(Buffer.from(`data: x${ending}${ending}`)).length, 1, JSON.stringify(ending))
    }
  })

  it('tells the end from words that look like it', () => {
    const ends = (wire: string): boolean => isEnd(linesOf(Buffer.from(wire)))
    assert.deepEqual(['data: [DONE]\n\n', 'data:[DONE]\r\n\r\n', 'id: 1\rdata: [DONE]\r\r'].map(ends), [true, true, true])
    assert.deepEqual(['data: {"x":"data: [DONE]"}\n\n', ': data: [DONE]\n\n', 'data:  [DONE]\n\n', 'data: [DONE] \n\n'].map(ends), [
      false,
      false,
      false,
      false,
    ])
  })

  it('reads data as the standard says', () => {
    const read = (wire: string): string | null => dataOf(linesOf(Buffer.from(wire)))
    assert.deepEqual(['data: a\ndata:b\n\n', 'data\n\n', ': note\n\n', 'database: x\n\n', '\ufeffdata: x\n\n'].map(read), [
      'a\nb',
      '',
      null,
      null,
      'x',
    ])
  })
})
