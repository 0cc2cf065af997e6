// The bundled guard on the examples: what README shows, and that it reads the order of a conversation.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { Embedder } from '../../lib/embedding/embedder.js'
import type { GuardVerdict } from '../../lib/detection/guard/guard-detector.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { readTranscript } from '../../lib/transcripts/transcript.js'

const SYSTEM = readFileSync('examples/shop-system-prompt.md', 'utf8')

interface Exchange {
  user: string
  assistant: string
}

async function exchangesOf(file: string): Promise<readonly Exchange[]> {
  for await (const { exchanges } of readTranscript(file)) return exchanges
  throw new Error(`${file} has no conversation`)
}

describe('the bundled guard', async () => {
  const embedder = await Embedder.load()
  const monitor = await Monitor.load({ embedder, guard: 'always' })
  after(() => {
    monitor.dispose()
    embedder.dispose()
  })
  let begun = 0
  async function judge(exchanges: readonly Exchange[], system?: string): Promise<GuardVerdict[]> {
    const conversation = monitor.begin(String(begun++), system === undefined ? {} : { system })
    const verdicts = []
    for (const exchange of exchanges) verdicts.push(await conversation.addExchange(exchange))
    return verdicts
  }

  test("alerts where the shop's assistant first gives way, and does not calm down", async () => {
    const levels = (await judge(await exchangesOf('examples/shop-refund-eroding.json'), SYSTEM)).map(({ level }) => level)
    const first = levels.indexOf('alert') + 1
    assert.ok(first === 5 || first === 6, levels.join(' '))
    assert.ok(!levels.slice(first).includes('calm'), levels.join(' '))
  })

  test('without the prompt is elevated there, and does not calm down', async () => {
    const levels = (await judge(await exchangesOf('examples/shop-refund-eroding.json'))).map(({ level }) => level)
    assert.deepEqual(levels.slice(0, 4), ['calm', 'calm', 'calm', 'calm'])
    assert.ok(!levels.slice(5).includes('calm'), levels.join(' '))
  })

  for (const file of ['examples/bank-card-benign.json', 'examples/parcel-false-alarm-chat.json']) {
    test(`raises no alert on ${file}`, async () => {
      assert.ok((await judge(await exchangesOf(file))).every(({ alert }) => !alert))
    })
  }

  test('names the broken rule, the sentence, and the strength that is left', async () => {
    const verdicts = await judge(await exchangesOf('examples/shop-refund-eroding.json'), SYSTEM)
    const alerted = verdicts.find(({ alert }) => alert)
    assert.match(alerted?.rule ?? '', /verif/i)
    assert.ok(alerted?.sentence !== null && alerted!.strength < 0.3)
  })

  test('reads the order: backwards, the same exchanges end calm', async () => {
    const exchanges = await exchangesOf('examples/shop-refund-eroding.json')
    const forwards = await judge(exchanges, SYSTEM)
    const backwards = await judge([...exchanges].reverse(), SYSTEM)
    assert.ok(forwards.some(({ alert }) => alert) && forwards.at(-1)?.level === 'alert')
    assert.equal(backwards.at(-1)?.level, 'calm')
    // History, message and reply are read together: the same exchange has another score after others.
    const [first, last] = [forwards[0]?.signals?.breaks, backwards.at(-1)?.signals?.breaks]
    assert.notEqual(first, last)
  })
})
