// The embedding routes: OpenAI's API, text-embeddings-inference's, that of huggingface_hub at the address itself, and projected vectors.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import { cosineSimilarity } from '../../embedding/similarity.js'
import { GabionError } from '../../errors.js'
import type { Service } from '../service.js'
import { textsOf } from './embedding-inputs.js'
import { contextOf, serverTiming } from './request-life.js'
import * as form from './schemas.js'
import { describe } from './documents.js'
import { toBase64, toJson, truncatedOf } from './vectors.js'

const JSON_TYPE = 'application/json; charset=utf-8'

/** Adds the routes. */
export function addEmbeddingRoutes(app: FastifyInstance, service: Service): void {
  const config = { encodes: true }

  const sendEmbedded = async (body: form.EmbedRequest, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { inputs, model, normalize, truncate, prompt_name: prompt, dimensions } = body
    if (normalize === false) throw new GabionError('INVALID_ARGUMENT', 'normalize: false is not supported: vectors always have unit length')
    const texts = [inputs].flat()
    const { batch } = await service.embed({ texts, model, prompt: prompt ?? undefined, dimensions }, contextOf(request))
    const [cut] = truncatedOf(batch)
    if (cut !== undefined && truncate !== true) {
      const tokens = `${batch.totalTokenCounts[cut] ?? 0} tokens, the model reads ${batch.tokenCounts[cut] ?? 0}`
      throw new GabionError('TOKENIZER_FAILED', `text ${cut} has ${tokens}; send truncate: true to truncate it`)
    }
    return sendVectors(reply, batch, `[${Array.from(batch, toJson).join()}]`)
  }

  const sendSimilarities = async (body: form.SimilarityRequest, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { source_sentence: source, sentences } = body.inputs
    const { batch } = await service.embed({ texts: [source, ...sentences], model: body.model }, contextOf(request))
    const first = batch.row(0)
    return sendVectors(reply, batch, JSON.stringify(sentences.map((_, index) => cosineSimilarity(first, batch.row(index + 1)))))
  }

  app.post<{ Body: form.EmbeddingsRequest }>(
    '/v1/embeddings',
    {
      config,
      ...describe('embeddings', "Vectors of texts, as in OpenAI's API", { body: form.EmbeddingsRequest, ok: form.EmbeddingsResponse }),
    },
    async (request, reply) => {
      const { input, model: requested, encoding_format: encoding, dimensions, prompt_name: prompt } = request.body
      const { texts, prompt: used } = await textsOf(service.models.requested(requested), input, prompt ?? undefined)
      const { model, batch } = await service.embed({ texts, prompt: used, model: requested, dimensions }, contextOf(request))
      const write = encoding === 'base64' ? (row: Float32Array) => `"${toBase64(row)}"` : toJson
      const items = Array.from(batch, (row, index) => `{"object":"embedding","index":${index},"embedding":${write(row)}}`)
      const tokens = batch.tokenCounts.reduce((sum, count) => sum + count, 0)
      return sendVectors(
        reply,
        batch,
        `{"object":"list","data":[${items.join()}],"model":${JSON.stringify(model)},"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}},` +
          `"truncated":${JSON.stringify(truncatedOf(batch))}}`,
      )
    },
  )

  app.post<{ Body: form.EmbedRequest }>(
    '/embed',
    {
      config,
      ...describe('embed', "Vectors of texts, as in text-embeddings-inference's API", { body: form.EmbedRequest, ok: form.EmbedResponse }),
    },
    async (request, reply) => {
      return await sendEmbedded(request.body, request, reply)
    },
  )

  app.post<{ Body: form.SimilarityRequest }>(
    '/similarity',
    {
      config,
      ...describe('similarity', "Cosines of sentences to one, as in text-embeddings-inference's API", {
        body: form.SimilarityRequest,
        ok: form.SimilarityResponse,
      }),
    },
    async (request, reply) => await sendSimilarities(request.body, request, reply),
  )

  app.post<{ Body: form.RootRequest }>(
    '/',
    {
      config,
      ...describe('embedAtRoot', 'Vectors of texts, or cosines of sentences, as huggingface_hub asks for them', {
        body: form.RootRequest,
        ok: form.RootResponse,
      }),
    },
    async (request, reply) => {
      const { inputs, ...rest } = request.body
      return typeof inputs === 'string' || Array.isArray(inputs)
        ? await sendEmbedded({ ...rest, inputs }, request, reply)
        : await sendSimilarities({ ...rest, inputs }, request, reply)
    },
  )

  app.post<{ Body: form.ProjectRequest }>(
    '/v1/project',
    {
      config,
      ...describe('project', 'Projected vectors of texts', { body: form.ProjectRequest, ok: form.ProjectResponse }, 404),
    },
    async (request, reply) => {
      const batch = await service.project([request.body.input].flat(), contextOf(request))
      const items = Array.from({ length: batch.rows }, (_, index) => `{"index":${index},"point":${toJson(batch.projectedRow(index))}}`)
      const cut = JSON.stringify(truncatedOf(batch))
      const model = JSON.stringify(service.embedder.info.model)
      return sendVectors(reply, batch, `{"data":[${items.join()}],"model":${model},"components":${batch.components},"truncated":${cut}}`)
    },
  )
}

/** Hand-written JSON: a serializer generated from the schema would take as long as the encoder. */
function sendVectors(reply: FastifyReply, batch: EmbeddingBatch, json: string): FastifyReply {
  return reply.header('server-timing', serverTiming(batch.timings)).type(JSON_TYPE).send(json)
}
