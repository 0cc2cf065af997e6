// Owns the interface of what reads an exchange for the guard: rules, history, message and reply in, one logit per output out.
// Types only.

import type { Exchange } from '../detector.js'

/** One reading: what is shown to the model. */
export interface GuardInput {
  /** Closest first; what does not fit the model's budget is left out. */
  readonly rules: readonly string[]
  /** The last exchanges, oldest first. */
  readonly history: readonly Exchange[]
  readonly user: string
  /** Read by windows if it is long; each logit is the highest of the windows'. */
  readonly reply: string
}

/** One logit per output, in the order of the guard's description. */
export type GuardLogits = ArrayLike<number>

/** A model that reads exchanges. */
export interface GuardScorer {
  /** Results in the order of the inputs. */
  score(inputs: readonly GuardInput[], options: { readonly signal?: AbortSignal | undefined }): Promise<readonly GuardLogits[]>
  /** Releases the model. */
  dispose(): void
}
