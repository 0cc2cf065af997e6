// The routes that give vectors: OpenAI's form, text-embeddings-inference's, and projected points.

import type { FastifyInstance, FastifyReply } from 'fastify'
import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import { GabionError } from '../../errors.js'
import type { Service } from '../service.js'
import { contextOf } from './request-life.js'
import * as form from './schemas.js'
import { describe } from './documents.js'
import { serverTiming } from './timing.js'
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
      ...describe('embeddings', "Vectors of texts, in OpenAI's form", { body: form.EmbeddingsRequest, ok: form.EmbeddingsAnswer }),
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
      ...describe('embed', "Vectors of texts, in text-embeddings-inference's form", { body: form.EmbedRequest, ok: form.EmbedAnswer }),
    },
    async (request, reply) => {
      const { inputs, normalize, truncate, prompt_name: prompt, dimensions } = request.body
      if (normalize === false)
        throw new GabionError('INVALID_ARGUMENT', 'normalize: false is not offered: vectors are always of unit length')
      const batch = await service.embed({ texts: textsOf(inputs), prompt: prompt ?? undefined }, contextOf(request))
      const [cut] = truncatedOf(batch)
      if (cut !== undefined && truncate !== true) {
        const tokens = `${batch.totalTokenCounts[cut] ?? 0} tokens, the model reads ${batch.tokenCounts[cut] ?? 0}`
        throw new GabionError('TOKENIZER_FAILED', `text ${cut} has ${tokens}; send truncate: true to have it cut`)
      }
      return sendVectors(reply, batch, `[${rowsOf(batch, dimensions).map(toJson).join()}]`)
    },
  )

  app.post<{ Body: form.ProjectRequest }>(
    '/v1/project',
    {
      config,
      ...describe('project', "Points of texts under the service's projection", { body: form.ProjectRequest, ok: form.ProjectAnswer }, 404),
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

/** Written by hand: a serializer made from the schema would take as long as the encoder does. */
function sendVectors(reply: FastifyReply, batch: EmbeddingBatch, json: string): FastifyReply {
  return reply.header('server-timing', serverTiming(batch.timings)).type(JSON_TYPE).send(json)
}
