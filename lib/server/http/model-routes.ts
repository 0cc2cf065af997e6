// The routes that list the service's models, as in OpenAI's API.

import type { FastifyInstance } from 'fastify'
import { Type, type Static } from '@sinclair/typebox'
import type { Service } from '../service.js'
import { describe } from './documents.js'
import * as form from './schemas.js'

const ModelParams = Type.Object({ id: Type.String({ minLength: 1 }) })
type ModelParams = Static<typeof ModelParams>

const OwnedModelParams = Type.Object({ owner: Type.String(), name: Type.String() })
type OwnedModelParams = Static<typeof OwnedModelParams>

/** Adds the routes. */
export function addModelRoutes(app: FastifyInstance, service: Service): void {
  // OpenAI's field for when a model was made; of a model here nothing is known but when it was loaded.
  const created = Math.floor(Date.now() / 1000)
  const describeModel = (id: string): Static<typeof form.Model> => ({ id, object: 'model', created, owned_by: 'gabion' })

  app.get('/v1/models', describe('listModels', "The service's models, the default one first", { ok: form.Models }), () => ({
    object: 'list',
    data: service.models.names.map(describeModel),
  }))

  app.get<{ Params: ModelParams }>(
    '/v1/models/:id',
    describe('getModel', 'One of the models', { params: ModelParams, ok: form.Model }),
    ({ params }) => describeModel(service.models.named(params.id).info.model),
  )

  // A model of the hub is named OWNER/NAME, and not every client encodes the slash.
  app.get<{ Params: OwnedModelParams }>('/v1/models/:owner/:name', { schema: { hide: true, params: OwnedModelParams } }, ({ params }) =>
    describeModel(service.models.named(`${params.owner}/${params.name}`).info.model),
  )
}
