// When replies are read that are being written: the order of several, and the times of one, by a clock that stands still.

import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { OrderedReading, ReadingOrder } from '../../lib/monitor/stream/reading-order.js'
import { GATE_LIMITS, ReplyGate } from '../../lib/monitor/stream/reply-gate.js'

const WINDOW = [{ text: 'words', start: 0 }]

/** Lets everything run that waits for nothing but promises. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Readings that end when a test says so, by name in the order in which they began. */
class SlowReadings {
  readonly began: string[] = []
  readonly #ends: (() => void)[] = []

  reading(name: string, order: ReadingOrder): OrderedReading {
    const read = (): Promise<null> => {
      this.began.push(name)
      return new Promise((resolve) => this.#ends.push(() => resolve(null)))
    }
    return new OrderedReading({ read }, order)
  }

  async endNext(): Promise<void> {
    this.#ends.shift()!()
    await settled()
  }
}

describe('The order of readings', () => {
  test('let as many be read at once as the encoder has threads, and one more; the first reading of a reply comes before others', async () => {
    const [readings, order] = [new SlowReadings(), new ReadingOrder(1)]
    const [old, older, young] = ['old', 'older', 'young'].map((name) => readings.reading(name, order))
    const before = [old!, older!].map((one) => one.read(WINDOW))
    await settled()
    await readings.endNext()
    await readings.endNext()
    await Promise.all(before)
    const all = [old!, older!, old!, young!].map((one) => one.read(WINDOW))
    await settled()
    assert.deepEqual(readings.began.splice(0), ['old', 'older', 'old', 'older'])
    await readings.endNext()
    assert.deepEqual(readings.began.splice(0), ['young'])
    for (const _ of [1, 2, 3]) await readings.endNext()
    assert.deepEqual(readings.began, ['old'])
    assert.deepEqual(await Promise.all(all), [null, null, null, null])
  })

  test('pass on when a reading fails, or is not wanted any more', async () => {
    const [readings, order] = [new SlowReadings(), new ReadingOrder(0)]
    const failing = new OrderedReading({ read: () => Promise.reject(new Error('no memory')) }, order)
    const aborted = AbortSignal.abort()
    const first = assert.rejects(failing.read(WINDOW), /no memory/)
    const second = assert.rejects(readings.reading('aborted', order).read(WINDOW, aborted), { code: 'ABORTED' })
    const third = readings.reading('wanted', order).read(WINDOW)
    await settled()
    await readings.endNext()
    await Promise.all([first, second, third])
    assert.deepEqual(readings.began, ['wanted'])
  })

  test('pass on when a reading that never ends is aborted, and leave out those that were aborted while they waited', async () => {
    const [readings, order] = [new SlowReadings(), new ReadingOrder(0)]
    const [stuck, waiting] = [new AbortController(), new AbortController()]
    const first = assert.rejects(readings.reading('stuck', order).read(WINDOW, stuck.signal), { code: 'ABORTED' })
    const second = assert.rejects(readings.reading('waiting', order).read(WINDOW, waiting.signal), { code: 'ABORTED' })
    const third = readings.reading('wanted', order).read(WINDOW)
    await settled()
    waiting.abort()
    stuck.abort()
    await Promise.all([first, second])
    await settled()
    assert.deepEqual(readings.began, ['stuck', 'wanted'])
    await readings.endNext()
    await readings.endNext()
    assert.equal(await third, null)
  })
})

/** A gate whose clock is a test's. */
function gateAt(t: TestContext): { gate: ReplyGate<string>; tick: (ms: number) => Promise<void>; passed: string[]; reads: number[] } {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const passed: string[] = []
  const reads: number[] = []
  const read = async (): Promise<null> => {
    reads.push(now)
    // It takes 30 ms.
    await new Promise((resolve) => setTimeout(resolve, 30))
    return null
  }
  const gate = new ReplyGate<string>(
    () => Promise.resolve({ read }),
    GATE_LIMITS,
    (piece) => passed.push(piece),
    () => undefined,
  )
  const tick = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at++) {
      now++
      t.mock.timers.tick(1)
      await settled()
    }
  }
  return { gate, tick, passed, reads }
}

describe('The first words of a stream', () => {
  test('are read after half of the lag; later ones so early that none waits for longer than the lag', async (t) => {
    const { gate, tick, passed, reads } = gateAt(t)
    const add = (piece: string): void => gate.add(piece, [{ reply: '', text: piece }])
    add('a ')
    await tick(100)
    add('b ')
    await tick(99)
    assert.deepEqual(reads, [])
    await tick(2)
    assert.deepEqual([reads, passed], [[200], []])
    await tick(30)
    assert.deepEqual(passed, ['a ', 'b '])
    await tick(69)
    add('c ')
    await tick(400)
    assert.deepEqual([reads, passed.length], [[200, 300 + 400 - 30], 3])
    gate.finish()
    await settled()
    assert.ok(gate.isEmpty)
  })
})
