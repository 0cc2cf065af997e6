// A reply that grows: by which windows it is read, however it comes.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ReplyWindow } from '../../lib/detection/reply-reading.js'
import { GrowingReply, tokensIn } from '../../lib/monitor/stream/growing-reply.js'

/** The windows by which a reply is read that comes in parts. */
async function windowsOf(parts: readonly string[]): Promise<ReplyWindow[]> {
  const all: ReplyWindow[] = []
  const reading = {
    read: (windows: readonly ReplyWindow[]) => {
      all.push(...windows)
      return Promise.resolve(null)
    },
  }
  const reply = new GrowingReply(() => Promise.resolve(reading))
  for (const part of parts) {
    reply.add(part)
    while (reply.read < reply.length) await reply.readMore(new AbortController().signal)
  }
  return all
}

/** The longest window of each beginning. */
function longest(windows: readonly ReplyWindow[]): ReplyWindow[] {
  return windows.filter(({ start }, index) => windows[index + 1]?.start !== start)
}

const reply = fc.array(
  fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.constantFrom(' ', '\n', 'a word or two '.repeat(30), '漢字'.repeat(90))),
  {
    maxLength: 40,
  },
)

describe('A reply that grows', () => {
  test('is read by the same windows however it comes, and nothing is skipped', async () => {
    await fc.assert(
      fc.asyncProperty(reply, async (parts) => {
        const text = parts.join('')
        const windows = longest(await windowsOf(parts))
        assert.deepEqual(windows, longest(await windowsOf([text])))
        let end = 0
        for (const { text: window, start } of windows) {
          assert.equal(window, text.slice(start, start + window.length))
          assert.ok(start <= end && start + window.length > end)
          end = start + window.length
        }
        assert.equal(end, text.length)
      }),
    )
  })

  test('takes work in proportion to its length: windows grow until they are full', async () => {
    const words = Array.from({ length: 4000 }, (_, index) => `word${String(index)} `)
    const parts = Array.from({ length: 250 }, (_, at) => words.slice(16 * at, 16 * (at + 1)).join(''))
    const windows = await windowsOf(parts)
    const read = windows.reduce((sum, { text }) => sum + tokensIn(text), 0)
    assert.ok(read < 4.5 * tokensIn(words.join('')), `${String(read)} tokens`)
    for (const [index, { text, start }] of windows.entries()) {
      const before = windows[index - 1] ?? { text: '', start: 0 }
      assert.ok(tokensIn(text) <= 191)
      if (start === before.start) assert.ok(text.startsWith(before.text))
      else assert.ok(before.start + before.text.length - start > 100, 'it overlaps the window before')
    }
  })
})
