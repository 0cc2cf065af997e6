// Owns the words for input that a schema refuses: where it is, what is wrong, what is allowed. Never repeats a text of the input.

import type { ErrorObject } from 'ajv'
import { GabionError } from '../../errors.js'

/** The part of JSON Schema that the routes use. */
interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly description?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
}

/** What a request's parts are called. */
const PARTS: Readonly<Record<string, string>> = {
  body: 'the body',
  params: 'the path',
  querystring: 'the query',
  headers: 'the headers',
}

/**
 * The failure of a request.
 *
 * @param errors - of Ajv with `verbose`, without `allErrors`
 * @param part - Fastify's name of the request's part
 */
export function schemaFailure(errors: readonly ErrorObject[], part: string): GabionError {
  const error = mostSpecific(errors)
  return new GabionError('INVALID_ARGUMENT', error === undefined ? `${PARTS[part] ?? part} is not valid` : wordsOf(error, part))
}

/**
 * The last error is that of the schema itself, those before it are of its alternatives. Where one alternative alone is of the input's
 * type, what that one refuses says more.
 */
function mostSpecific(errors: readonly ErrorObject[]): ErrorObject | undefined {
  const last = errors.at(-1)
  if (last?.keyword !== 'anyOf') return last
  const finer = errors.slice(0, -1).filter(({ keyword }) => !['type', 'const', 'anyOf'].includes(keyword))
  return finer.length === 1 ? finer[0] : last
}

function wordsOf({ keyword, instancePath, params, data, parentSchema }: ErrorObject, part: string): string {
  const schema = (parentSchema ?? {}) as Schema
  const place = pathTo(instancePath, part)
  switch (keyword) {
    case 'required': {
      const { missingProperty } = params as { missingProperty: string }
      const allowed = schema.properties?.[missingProperty]
      return `${place} has no field '${missingProperty}'${allowed === undefined ? '' : `: it must be ${allowedBy(allowed)}`}`
    }
    case 'additionalProperties': {
      const { additionalProperty } = params as { additionalProperty: string }
      const known = Object.keys(schema.properties ?? {}).join(', ')
      return `${place} has no field ${JSON.stringify(additionalProperty.slice(0, 60))}; its fields: ${known}`
    }
    case 'pattern':
      return `${place} must be a string: ${(schema.description ?? 'without control characters').toLowerCase()}`
    default:
      return `${place} must be ${allowedBy(schema)}, got ${given(data)}`
  }
}

/** `/input/0` as `input[0] in the body`. */
function pathTo(pointer: string, part: string): string {
  const whole = PARTS[part] ?? part
  if (pointer === '') return whole
  const steps = pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const path = steps.map((step, index) => (/^\d+$/.test(step) ? `[${step}]` : index === 0 ? step : `.${step}`)).join('')
  return `${path} in ${whole}`
}

function allowedBy(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(allowedBy))].join(' or ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  switch (schema.type) {
    case 'string':
      return `a string${range(schema.minLength, schema.maxLength, ' characters')}`
    case 'integer':
      return `a whole number${range(schema.minimum, schema.maximum)}`
    case 'number':
      return `a number${range(schema.minimum, schema.maximum)}`
    case 'boolean':
      return 'true or false'
    case 'array':
      return `a list${range(schema.minItems, schema.maxItems)}${schema.items === undefined ? '' : `, each ${allowedBy(schema.items)}`}`
    case 'object': {
      const required = schema.required ?? []
      return `an object${required.length === 0 ? '' : ` with ${required.join(' and ')}`}`
    }
    case 'null':
      return 'null'
    default:
      return schema.type ?? 'as the schema in /openapi.json says'
  }
}

function range(minimum: number | undefined, maximum: number | undefined, unit = ''): string {
  if (minimum === undefined && maximum === undefined) return ''
  if (maximum === undefined) return ` of ${String(minimum)}${unit} or more`
  if (minimum === undefined) return ` of at most ${String(maximum)}${unit}`
  return ` of ${String(minimum)} to ${String(maximum)}${unit}`
}

/** What came, by its kind; of a string its length, since it may be anybody's words. */
function given(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return `a string of ${String(value.length)} characters`
  return Array.isArray(value) ? `a list of ${String(value.length)}` : 'an object'
}
