// Owns the verdict of the erosion detector. Types only.

import type { DetectorVerdict } from '../verdict.js'
import type { Contributions } from './head.js'
import type { Language } from './language.js'
import type { RefusalFlags } from './lexicon.js'
import type { Aggregate } from './thresholds.js'

/** The anchor that is closest to a reply. */
export interface NearestAnchor {
  readonly tag: string
  /** Cosine of the scored window and the anchor. */
  readonly cosine: number
}

/**
 * The erosion detector's fields beyond {@link DetectorVerdict}. `risk` is the logit in benign standard deviations above the
 * benign median, `drift` and `acceleration` its first and second differences, `cumulative` the decayed CUSUM of exceedances of
 * the benign p90. `alert` is true at the exchange that enters the level `alert`, not at those that stay in it.
 */
export interface ErosionVerdict extends DetectorVerdict {
  readonly logit: number
  /** They sum to the logit; null for an empty reply, which is not scored. */
  readonly contributions: Contributions | null
  /** The value compared with the thresholds: the logit, or the requested aggregate. */
  readonly statistic: number
  readonly thresholds: {
    readonly aggregate: Aggregate
    readonly elevated: number
    readonly alert: number
    /** Share of ordinary conversations that may reach each threshold. */
    readonly budgets: { readonly elevated: number; readonly alert: number }
    readonly source: string
  }
  /** The part of the reply that the logit comes from. */
  readonly window: { readonly index: number; readonly count: number; readonly start: number; readonly end: number }
  readonly anchors: { readonly safe: NearestAnchor; readonly unsafe: NearestAnchor }
  /** The conversation's highest logit and its exchange. */
  readonly highest: { readonly logit: number; readonly exchange: number }
  /** Refusal phrases found. */
  readonly refused: RefusalFlags
  /** The reply's language, if it is one without a lexicon; else null. */
  readonly foreign: Language | null
  /** The reply was empty: it gets the benign median and raises no alert. */
  readonly empty: boolean
}
