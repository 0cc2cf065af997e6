// Owns the detector that asks a model of the user's own about exchanges that another detector finds at least elevated.

import type { ConversationExchange, Detector } from '../detector.js'
import type { DetectorVerdict, JudgeFinding } from '../verdict.js'
import type { JudgedExchange } from './judge-client.js'

/** A verdict with the judge's finding; null where it was not asked. */
export type EscalatedVerdict<Verdict extends DetectorVerdict = DetectorVerdict> = Verdict & { readonly judge: JudgeFinding | null }

/** Who is asked. */
export interface Judge {
  ask(exchange: JudgedExchange): Promise<JudgeFinding>
}

/**
 * Adds a judge's finding to the verdicts on elevated exchanges. Level and alert stay those of the detector: what to make of the finding is
 * for the reader. Its states are the detector's own, so that conversations continue with and without a judge.
 */
export class EscalatingDetector<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> implements Detector<
  State,
  EscalatedVerdict<Verdict>
> {
  readonly name: string
  readonly fingerprint: string
  readonly base: Detector<State, Verdict>
  readonly projection: Detector['projection']
  readonly embedsAhead: boolean
  readonly readsRules: boolean
  readonly windows?: NonNullable<Detector['windows']>
  readonly #judge: Judge

  constructor(base: Detector<State, Verdict>, judge: Judge) {
    this.base = base
    this.name = base.name
    this.fingerprint = base.fingerprint
    this.projection = base.projection
    this.embedsAhead = base.embedsAhead ?? false
    this.readsRules = base.readsRules ?? false
    if (base.windows !== undefined) this.windows = base.windows
    this.#judge = judge
  }

  normalize(text: string): string {
    return this.base.normalize?.(text) ?? text
  }

  start(): State {
    return this.base.start()
  }

  async judge(state: State, exchange: ConversationExchange): Promise<{ verdict: EscalatedVerdict<Verdict>; state: State }> {
    const { verdict, state: next } = await this.base.judge(state, exchange)
    const judge = verdict.level === 'calm' ? null : await this.#judge.ask(exchange)
    return { verdict: { ...verdict, judge, reasons: [...verdict.reasons, ...reasonsOf(judge)] }, state: next }
  }

  checkState(value: unknown): State {
    return this.base.checkState(value)
  }

  adopt(saved: Parameters<NonNullable<Detector<State>['adopt']>>[0]): State | null {
    return this.base.adopt?.(saved) ?? null
  }

  dispose(): void {
    this.base.dispose?.()
  }
}

function reasonsOf(judge: JudgeFinding | null): string[] {
  const { breaks = null, reason = '' } = judge ?? {}
  return breaks === null ? [] : [`the judge ${breaks ? 'finds a break' : 'finds no break'}: ${reason}`]
}
