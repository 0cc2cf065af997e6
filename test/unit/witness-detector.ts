// A detector that records what it is shown of conversations.

import assert from 'node:assert/strict'
import type { ConversationExchange, Detector, DetectorVerdict } from '../../lib/detection/detector.js'

const CALM: DetectorVerdict = {
  alert: false,
  level: 'calm',
  likelihood: 0,
  risk: 0,
  drift: 0,
  acceleration: 0,
  cumulative: 0,
  ratio: null,
  reasons: [],
}

/** Records what it is shown; embeds on request. */
export class Witness implements Detector<number> {
  readonly name = 'witness'
  readonly fingerprint: string
  readonly projection = null
  readonly embedsAhead: boolean
  readonly seen: Pick<ConversationExchange, 'user' | 'assistant' | 'system' | 'rules' | 'history'>[] = []
  readonly #asks: boolean

  constructor({ embedsAhead = false, asks = false, fingerprint = 'witness-1' } = {}) {
    this.embedsAhead = embedsAhead
    this.#asks = asks
    this.fingerprint = fingerprint
  }

  start(): number {
    return 0
  }

  async judge(state: number, exchange: ConversationExchange): Promise<{ verdict: DetectorVerdict; state: number }> {
    const { user, assistant, system, rules, history } = exchange
    if (assistant === 'fail') throw new Error('this detector failed')
    if (this.#asks) {
      const [first, again] = [await exchange.embedded(), await exchange.embedded()]
      assert.equal(first, again)
      const [rule] = await exchange.embed(['a rule'])
      assert.equal(rule?.length, 384)
    }
    this.seen.push({ user, assistant, system, rules, history })
    return { verdict: CALM, state: state + 1 }
  }

  checkState(value: unknown): number {
    return Number(value)
  }

  adopt({ name, state }: { name: string; state: unknown }): number | null {
    return name === 'witness' ? Number(state) : null
  }
}
