// The embedding routes: OpenAI's API, text-embeddings-inference's, and projected vectors.

import type { FastifyInstance, FastifyReply } from 'fastify'
import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import { GabionError } from '../../errors.js'
import type { Service } from '../service.js'
import { contextOf, serverTiming } from './request-life.js'
import * as form from './schemas.js'
import { describe } from './documents.js'
import { rowsOf, toBase64, toJson, truncatedOf } from './vectors.js'

const JSON_TYPE = 'application/json; charset=utf-8'

/** Adds the routes. */
export function addEmbeddingRoutes(app: FastifyInstance, service: Service): void {
  const model = JSON.stringify(service.embedder.info.model)
  const config = { encodes: true }

  app.post<{ Body: form.EmbeddingsRequest }>(
    '/v1/embeddings',
    {
      config,
      ...describe('embeddings', "Vectors of texts, as in OpenAI's API", { body: form.EmbeddingsRequest, ok: form.EmbeddingsResponse }),
    },
    async (request, reply) => {
      const { input, encoding_format: encoding, dimensions, prompt_name: prompt } = request.body
      const batch = await service.embed({ texts: textsOf(input), prompt }, contextOf(request))
      const write = encoding === 'base64' ? (row: Float32Array) => `"${toBase64(row)}"` : toJson
      const items = rowsOf(batch, dimensions).map((row, index) => `{"object":"embedding","index":${index},"embedding":${write(row)}}`)
      const tokens = batch.tokenCounts.reduce((sum, count) => sum + count, 0)
      return sendVectors(
        reply,
        batch,
        `{"object":"list","data":[${items.join()}],"model":${model},"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}},` +
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
      const { inputs, normalize, truncate, prompt_name: prompt, dimensions } = request.body
      if (normalize === false)
        throw new GabionError('INVALID_ARGUMENT', 'normalize: false is not supported: vectors always have unit length')
      const batch = await service.embed({ texts: textsOf(inputs), prompt: prompt ?? undefined }, contextOf(request))
      const [cut] = truncatedOf(batch)
      if (cut !== undefined && truncate !== true) {
        const tokens = `${batch.totalTokenCounts[cut] ?? 0} tokens, the model reads ${batch.tokenCounts[cut] ?? 0}`
        throw new GabionError('TOKENIZER_FAILED', `text ${cut} has ${tokens}; send truncate: true to truncate it`)
      }
      return sendVectors(reply, batch, `[${rowsOf(batch, dimensions).map(toJson).join()}]`)
    },
  )

  app.post<{ Body: form.ProjectRequest }>(
    '/v1/project',
    {
      config,
      ...describe('project', 'Projected vectors of texts', { body: form.ProjectRequest, ok: form.ProjectResponse }, 404),
    },
    async (request, reply) => {
      const batch = await service.project(textsOf(request.body.input), contextOf(request))
      const items = Array.from({ length: batch.rows }, (_, index) => `{"index":${index},"point":${toJson(batch.projectedRow(index))}}`)
      const cut = JSON.stringify(truncatedOf(batch))
      return sendVectors(reply, batch, `{"data":[${items.join()}],"model":${model},"components":${batch.components},"truncated":${cut}}`)
    },
  )
}

function textsOf(input: string | string[]): string[] {
  return typeof input === 'string' ? [input] : input
}

/** Hand-written JSON: a serializer generated from the schema would take as long as the encoder. */
function sendVectors(reply: FastifyReply, batch: EmbeddingBatch, json: string): FastifyReply {
  return reply.header('server-timing', serverTiming(batch.timings)).type(JSON_TYPE).send(json)
}
