// Owns what the table of `gabion detector train` compares: heads, and the controls that a head must beat.

import { fitTermModel } from './term-model.js'
import type { EmbeddedExchange } from './exchanges.js'
import type { HeadRecipe } from './recipe.js'
import { fitHead, logitsAtRunTime } from './train-head.js'
import type { Weights } from '../fitting/logistic.js'

/** Scores exchanges; higher is less safe. */
export type Score = (exchanges: readonly EmbeddedExchange[]) => Float64Array

/** Something that learns to score. */
export interface Scorer {
  readonly name: string
  /** @param weights - one weight per exchange, of mean 1 */
  fit(exchanges: readonly EmbeddedExchange[], weights: ArrayLike<number>): Score
}

/** What scorers that fit need. */
export interface ScorerSettings {
  readonly dimensions: number
  readonly signal?: AbortSignal
}

/** A head of a recipe, scored as at run time. */
export function headScorer(name: string, recipe: HeadRecipe, settings: ScorerSettings): Scorer {
  let start: Weights | undefined
  return {
    name,
    fit: (exchanges, weights) => {
      const { head, model } = fitHead(exchanges, weights, { recipe, ...settings, ...(start !== undefined && { start }) })
      start = model
      return (test) => logitsAtRunTime(head, test)
    },
  }
}

/** Controls without vectors: the refusal flags, the length of the reply, its words and the user's. */
export function controlScorers({ signal }: Pick<ScorerSettings, 'signal'>): Scorer[] {
  return [
    {
      name: 'refusal flags alone',
      fit: () => (test) => Float64Array.from(test, ({ flags }) => -2 * Number(flags.opening) - Number(flags.anywhere)),
    },
    { name: 'reply length', fit: () => (test) => Float64Array.from(test, ({ reply }) => reply.length) },
    { name: 'TF-IDF words', fit: (exchanges, weights) => fitTermModel(exchanges, weights, signal) },
  ]
}
