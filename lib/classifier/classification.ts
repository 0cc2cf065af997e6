// From logits to labels with scores. Pure functions.

import type { ProblemType } from './classifier-folder.js'

/** A label with its score. */
export interface LabelScore {
  label: string
  /** A probability; of a regression the logit itself. */
  score: number
}

/** Where the time of a call went, in milliseconds; all but `totalMs` summed over its inputs, and the longest wait. */
export interface ClassifyTimings {
  tokenizeMs: number
  queueMs: number
  encodeMs: number
  totalMs: number
}

/** What a classifier says of an input. */
export interface Classification extends LabelScore {
  /** The best labels, descending; equal scores in the order of the model's labels. */
  scores: LabelScore[]
  /** One per label, in the model's order; joined over windows. */
  logits: Float32Array
  windows: number
  /** Whether tokens were cut off. */
  truncated: boolean
  /** Tokens of all windows, special tokens included. */
  tokenCount: number
  /** Of the whole call. */
  timings: Readonly<ClassifyTimings>
}

/** Joins windows × outputs logits by their maximum or mean. */
export function joinWindows(logits: Float32Array, outputs: number, aggregation: 'max' | 'mean'): Float32Array {
  const windows = logits.length / outputs
  return Float32Array.from({ length: outputs }, (_, output) => {
    const values = Array.from({ length: windows }, (_, window) => logits[window * outputs + output] as number)
    return aggregation === 'max' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / windows
  })
}

/** Scores of logits: sigmoid, softmax or the logits themselves, as transformers' text-classification pipeline computes them. */
export function scoresOf(logits: Float32Array, problemType: ProblemType): number[] {
  if (problemType === 'regression') return [...logits]
  if (problemType === 'multi_label_classification' || logits.length === 1) return Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)))
  const greatest = Math.max(...logits)
  const powers = Array.from(logits, (logit) => Math.exp(logit - greatest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

/** The best labels, descending. */
export function bestLabels(labels: readonly string[], scores: readonly number[], topK = labels.length): LabelScore[] {
  return labels
    .map((label, index) => ({ label, score: scores[index] as number }))
    .sort((a, b) => b.score - a.score)
    .slice(0, topK)
}
