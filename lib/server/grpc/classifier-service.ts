// ClassifierService of gabion.proto.

import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import type { RequestContext } from '../request-context.js'
import { predict, requireClassifier, rerank, type ScoringOptions } from '../classify.js'
import type { Service } from '../service.js'
import type { Calls } from './calls.js'

/** A PredictRequest. */
interface PredictRequest extends ScoringOptions {
  inputs: { text: string; pair?: string }[]
}

/** A RerankRequest. */
interface RerankRequest extends ScoringOptions {
  query: string
  texts: string[]
  returnText: boolean
}

/** The implementation. */
export function classifierService(service: Service, calls: Calls): UntypedServiceImplementation {
  return {
    predict: calls.unary('Predict', async (request: PredictRequest, context: RequestContext) => {
      const { model } = requireClassifier(service).info
      const inputs = request.inputs.map(({ text, pair }) => (pair === undefined ? text : { text, pair }))
      const results = await predict(service, inputs, request, context)
      return { model, results: results.map((predictions) => ({ predictions })) }
    }),
    rerank: calls.unary('Rerank', async (request: RerankRequest, context: RequestContext) => {
      const { model } = requireClassifier(service).info
      const ranks = await rerank(service, request, request, context)
      return { model, ranks: request.returnText ? ranks.map((rank) => ({ ...rank, text: request.texts[rank.index] })) : ranks }
    }),
  }
}
