// What a route says of itself: validates its requests and makes its part of the OpenAPI document, from one schema.

import type { TSchema } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import { PROTOCOL_STATUS } from '../status.js'
import { Failure } from './schemas.js'

/** Forms of a route's parts. */
export interface RouteForms {
  readonly body?: TSchema
  readonly params?: TSchema
  readonly querystring?: TSchema
  readonly ok?: TSchema
}

/** What any route may answer besides. */
const COMMON_FAILURES = [400, 401, 404, 413, 415, 422, 429, 500, 503, 504]

/** The `schema` of a route, with its failures. */
export function describe(operationId: string, summary: string, forms: RouteForms, ...failures: number[]): { schema: FastifySchema } {
  const { ok, ...asked } = forms
  const response: Record<number, unknown> = {}
  for (const status of new Set([...COMMON_FAILURES, ...failures])) {
    response[status] = { description: meaningOf(status), content: { 'application/json': { schema: { $ref: `${Failure.$id ?? ''}#` } } } }
  }
  if (ok !== undefined) response[200] = { description: 'Done', content: { 'application/json': { schema: named(ok) } } }
  const schema = {
    operationId,
    summary,
    ...Object.fromEntries(Object.entries(asked).map(([part, one]) => [part, part === 'body' ? named(one) : one])),
    response,
  }
  return { schema }
}

/** A schema that has a name is pointed at, so that the document has it once. */
function named(schema: TSchema): object {
  return schema.$id === undefined ? schema : { $ref: `${schema.$id}#` }
}

function meaningOf(status: number): string {
  const codes = Object.entries(PROTOCOL_STATUS).filter(([, { http }]) => http === status)
  return codes.length === 0 ? 'The request is not understood' : codes.map(([code]) => code).join(', ')
}
