// Owns what /predict and /rerank answer, for both protocols: labels with scores, and texts by their relevance to a query.

import type { Classification, LabelScore } from '../classifier/classification.js'
import type { Classifier } from '../classifier/classifier.js'
import type { ClassifierInput } from '../classifier/classifier-options.js'
import { GabionError } from '../errors.js'
import type { RequestContext } from './request-context.js'
import type { Service } from './service.js'

/** Options of both requests, as in text-embeddings-inference. */
export interface ScoringOptions {
  /** Whether inputs that do not fit may be cut; else they are refused. */
  readonly truncate: boolean
  /** Logits in the place of probabilities. */
  readonly rawScores: boolean
}

/** A text's place in a ranking. */
export interface Rank {
  /** Of the text in the request. */
  readonly index: number
  readonly score: number
}

/** The service's classifier. @throws GabionError `NOT_FOUND` when it has none */
export function requireClassifier({ classifier }: Pick<Service, 'classifier'>): Classifier {
  if (classifier !== null) return classifier
  throw new GabionError('NOT_FOUND', 'this service has no classifier; start it with --classifier FOLDER')
}

function refuseTruncated(results: readonly Classification[], { info }: Classifier, { truncate }: ScoringOptions): void {
  const index = results.findIndex(({ truncated }) => truncated)
  if (index === -1 || truncate) return
  const most = `the ${String(info.maxTokens)} tokens that the model reads`
  throw new GabionError('TOKENIZER_FAILED', `input ${String(index)} is longer than ${most}; send truncate: true to truncate it`)
}

/**
 * The labels of inputs, best first.
 *
 * @throws GabionError `NOT_FOUND` without a classifier, `TOKENIZER_FAILED` for inputs that would be truncated; those of `classifyBatch`
 */
export async function predict(
  service: Service,
  inputs: readonly ClassifierInput[],
  options: ScoringOptions,
  request: RequestContext,
): Promise<LabelScore[][]> {
  const classifier = requireClassifier(service)
  const results = await service.classify(inputs, request)
  refuseTruncated(results, classifier, options)
  const { labels } = classifier.info
  return results.map(({ scores, logits }) =>
    options.rawScores
      ? scores.map(({ label }) => ({ label, score: logits[labels.indexOf(label)] as number }))
      : scores.map(({ label, score }) => ({ label, score })),
  )
}

/**
 * Texts by their relevance to a query, the most relevant first.
 *
 * @throws GabionError as {@link predict}; `INVALID_ARGUMENT` for a classifier of several labels, which is no reranker
 */
export async function rerank(
  service: Service,
  { query, texts }: { readonly query: string; readonly texts: readonly string[] },
  options: ScoringOptions,
  request: RequestContext,
): Promise<Rank[]> {
  const classifier = requireClassifier(service)
  const { labels, model } = classifier.info
  if (labels.length !== 1) {
    throw new GabionError('INVALID_ARGUMENT', `${model} has ${String(labels.length)} labels; a reranker has one`)
  }
  const results = await service.classify(
    texts.map((text) => ({ text: query, pair: text })),
    request,
  )
  refuseTruncated(results, classifier, options)
  return results
    .map(({ score, logits }, index) => ({ index, score: options.rawScores ? (logits[0] as number) : score }))
    .sort((a, b) => b.score - a.score)
}
