// Owns the controls of the documentation's tables: those of `gabion detector train`, and ablations of vectors, order and labels.

import type { EmbeddedExchange } from '../lib/detection/training/exchanges.js'
import { fitLogistic, logitsOf, type FeatureRows } from '../lib/detection/fitting/logistic.js'
import { Random } from '../lib/statistics/random.js'
import type { HeadRecipe } from '../lib/detection/training/recipe.js'
import { controlScorers, type Scorer, type ScorerSettings } from '../lib/detection/training/scorers.js'
import { fitHead, logitsAtRunTime } from '../lib/detection/training/train-head.js'

/** The controls of `gabion detector train`, and the ablations. */
export function allControls(recipe: HeadRecipe, settings: ScorerSettings): Scorer[] {
  return [
    ...controlScorers(settings),
    userOnly(recipe.c, settings),
    { name: 'exchange count', fit: () => (test) => Float64Array.from(test, ({ exchange }) => exchange) },
    shuffledLabels(recipe, settings),
    shuffledUsers(recipe, settings),
  ]
}

/** The user's text and nothing of the reply: what the topic alone gives away. */
function userOnly(c: number, settings: ScorerSettings): Scorer {
  return {
    name: 'user text alone',
    fit: (exchanges, weights) => {
      const scale = columnScale(exchanges.map(({ userVector }) => userVector))
      const model = fitLogistic({
        features: scaledColumns(
          exchanges.map(({ userVector }) => userVector),
          scale,
        ),
        targets: targetsOf(exchanges),
        weights,
        c,
        ...(settings.signal !== undefined && { signal: settings.signal }),
      })
      return (test) =>
        logitsOf(
          scaledColumns(
            test.map(({ userVector }) => userVector),
            scale,
          ),
          model.weights,
          model.intercept,
        )
    },
  }
}

/**
 * Labels dealt out anew among all exchanges, each with its weight (weights differ by set and label, and would tell the set):
 * whatever is far from one half is a fault of the measurement.
 */
function shuffledLabels(recipe: HeadRecipe, settings: ScorerSettings): Scorer {
  return {
    name: 'shuffled labels',
    fit: (exchanges, weights) => {
      const dealt = dealLabels(exchanges, weights, 23)
      const { head } = fitHead(dealt.exchanges, dealt.weights, { recipe, ...settings })
      return (test) => logitsAtRunTime(head, test)
    },
  }
}

/** Labels and weights in a random order; the exchanges stay where they are. */
export function dealLabels(
  exchanges: readonly EmbeddedExchange[],
  weights: ArrayLike<number>,
  seed: number,
): { exchanges: EmbeddedExchange[]; weights: Float64Array } {
  const from = new Random(seed).shuffled(exchanges.map((_, row) => row))
  return {
    exchanges: exchanges.map((exchange, row) => ({ ...exchange, label: exchanges[from[row]!]!.label })),
    weights: Float64Array.from(from, (row) => weights[row]!),
  }
}

/** Scores every reply with another exchange's user text, which measures the value of their pairing. */
function shuffledUsers(recipe: HeadRecipe, settings: ScorerSettings): Scorer {
  return {
    name: 'shuffled pairs',
    fit: (exchanges, weights) => {
      const { head } = fitHead(exchanges, weights, { recipe, ...settings })
      return (test) => {
        const users = new Random(29).shuffled(test.map(({ userVector }) => userVector))
        return logitsAtRunTime(
          head,
          test.map((exchange, row) => ({ ...exchange, userVector: users[row]! })),
        )
      }
    },
  }
}

function targetsOf(exchanges: readonly EmbeddedExchange[]): number[] {
  return exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0))
}

interface ColumnScale {
  means: Float64Array
  deviations: Float64Array
}

function columnScale(vectors: readonly ArrayLike<number>[]): ColumnScale {
  const columns = vectors[0]?.length ?? 0
  const means = new Float64Array(columns)
  const deviations = new Float64Array(columns)
  for (const vector of vectors) for (let i = 0; i < columns; i++) means[i]! += (vector[i] as number) / vectors.length
  for (const vector of vectors)
    for (let i = 0; i < columns; i++) deviations[i]! += ((vector[i] as number) - means[i]!) ** 2 / vectors.length
  const floor = 0.2 * (deviations.slice().sort()[columns >> 1] ?? 1)
  return { means, deviations: deviations.map((variance) => Math.sqrt(Math.max(variance, floor, Number.MIN_VALUE))) }
}

function scaledColumns(vectors: readonly ArrayLike<number>[], { means, deviations }: ColumnScale): FeatureRows {
  const columns = means.length
  const values = new Float32Array(vectors.length * columns)
  for (const [row, vector] of vectors.entries()) {
    for (let i = 0; i < columns; i++) values[row * columns + i] = ((vector[i] as number) - means[i]!) / deviations[i]!
  }
  return { rows: vectors.length, columns, values }
}
