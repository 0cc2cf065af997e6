// Owns route schemas: one schema validates requests and makes the route's part of the OpenAPI document.

import type { TSchema } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import { PROTOCOL_STATUS } from '../status.js'
import { Failure } from './schemas.js'

/** Schemas of a route's request parts and response. */
export interface RouteSchemas {
  readonly body?: TSchema
  readonly params?: TSchema
  readonly querystring?: TSchema
  readonly ok?: TSchema
}

/** Failure statuses that any route may return. */
const COMMON_FAILURES = [400, 401, 404, 413, 415, 422, 429, 500, 503, 504]

/** The `schema` of a route, with its failures. */
export function describe(operationId: string, summary: string, schemas: RouteSchemas, ...failures: number[]): { schema: FastifySchema } {
  const { ok, ...requestParts } = schemas
  const response: Record<number, unknown> = {}
  for (const status of new Set([...COMMON_FAILURES, ...failures])) {
    response[status] = { description: meaningOf(status), content: { 'application/json': { schema: { $ref: `${Failure.$id ?? ''}#` } } } }
  }
  if (ok !== undefined) response[200] = { description: 'Done', content: { 'application/json': { schema: referenceTo(ok) } } }
  const schema = {
    operationId,
    summary,
    ...Object.fromEntries(Object.entries(requestParts).map(([part, schema]) => [part, part === 'body' ? referenceTo(schema) : schema])),
    response,
  }
  return { schema }
}

/** A reference to a named schema, so that the document contains it once; an unnamed one itself. */
function referenceTo(schema: TSchema): object {
  return schema.$id === undefined ? schema : { $ref: `${schema.$id}#` }
}

function meaningOf(status: number): string {
  const codes = Object.entries(PROTOCOL_STATUS).filter(([, { http }]) => http === status)
  return codes.length === 0 ? 'The request is malformed' : codes.map(([code]) => code).join(', ')
}
