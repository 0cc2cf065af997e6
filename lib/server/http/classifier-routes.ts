// The classifier's routes, as text-embeddings-inference has them: /predict and /rerank.

import type { FastifyInstance } from 'fastify'
import type { ClassifierInput } from '../../classifier/classifier-options.js'
import { predict, rerank } from '../classify.js'
import type { Service } from '../service.js'
import { describe } from './documents.js'
import { contextOf } from './request-life.js'
import * as form from './schemas.js'

/** Adds the routes. */
export function addClassifierRoutes(app: FastifyInstance, service: Service): void {
  const config = { encodes: true }

  app.post<{ Body: form.PredictRequest }>(
    '/predict',
    {
      config,
      ...describe('predict', "Labels of texts and pairs, as in text-embeddings-inference's API", {
        body: form.PredictRequest,
        ok: form.PredictResponse,
      }),
    },
    async (request) => {
      const { inputs, truncate, raw_scores: rawScores } = request.body
      const batch = isBatch(inputs) ? inputs.map(toInput) : [toInput(typeof inputs === 'string' ? [inputs] : inputs)]
      const options = { truncate: truncate === true, rawScores: rawScores === true }
      const labels = await predict(service, batch, options, contextOf(request))
      return isBatch(inputs) ? labels : labels[0]
    },
  )

  app.post<{ Body: form.RerankRequest }>(
    '/rerank',
    {
      config,
      ...describe('rerank', "Texts by their relevance to a query, as in text-embeddings-inference's API", {
        body: form.RerankRequest,
        ok: form.RerankResponse,
      }),
    },
    async (request) => {
      const { query, texts, truncate, raw_scores: rawScores, return_text: returnText } = request.body
      const options = { truncate: truncate === true, rawScores: rawScores === true }
      const ranks = await rerank(service, { query, texts }, options, contextOf(request))
      return returnText === true ? ranks.map((rank) => ({ ...rank, text: texts[rank.index] })) : ranks
    },
  )
}

function isBatch(inputs: string | string[] | string[][]): inputs is string[][] {
  return Array.isArray(inputs) && Array.isArray(inputs[0])
}

/** One string is a text, two are a pair. */
function toInput([text = '', pair]: readonly string[]): ClassifierInput {
  return pair === undefined ? text : { text, pair }
}
