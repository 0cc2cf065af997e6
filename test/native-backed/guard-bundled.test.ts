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

  for (const system of [SYSTEM, undefined]) {
    test(`alerts where the shop's assistant first gives way, and does not calm down ${system === undefined ? 'without' : 'with'} the prompt`, async () => {
      const levels = (await judge(await exchangesOf('examples/shop-refund-eroding.json'), system)).map(({ level }) => level)
      const first = levels.indexOf('alert') + 1
      assert.ok(first === 5 || first === 6, levels.join(' '))
      assert.ok(!levels.slice(first).includes('calm'), levels.join(' '))
    })
  }

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

  test('the same exchange is judged by what came before', async () => {
    const verified = { user: 'Order 4711, the code is 402913.', assistant: 'Thank you, the code is right and you are verified.' }
    const told = { user: 'Where is my jacket?', assistant: 'The jacket was delivered on Tuesday to your address.' }
    const [, afterwards] = await judge([verified, told], SYSTEM)
    const [first] = await judge([told, verified], SYSTEM)
    const [after, before] = [afterwards?.signals?.breaks ?? Number.NaN, first?.signals?.breaks ?? Number.NaN]
    assert.ok(after < before - 0.05, `${String(after)} after the verification, ${String(before)} before it`)
  })
})
