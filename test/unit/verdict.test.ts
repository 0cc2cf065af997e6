import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadSync } from '@grpc/proto-loader'
import type { Static } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import { toExchangeVerdict, VERDICT_COLUMNS, verdictRow, type ExchangeVerdict } from '../../lib/detection/verdict.js'
import { exchangeVerdictSchema } from '../../lib/detection/verdict-schema.js'

const PROTO = 'protocol/gabion/v1/gabion.proto'

const VERDICT: ExchangeVerdict = {
  conversation: 'support',
  exchange: 2,
  exchangeId: null,
  alert: false,
  level: 'elevated',
  likelihood: 0.5,
  risk: 1,
  drift: 0.5,
  acceleration: 0.25,
  cumulative: 1.5,
  ratio: null,
  reasons: ['because'],
  truncated: false,
  timings: { tokenizeMs: 1, queueMs: 2, encodeMs: 3, projectMs: 4, detectMs: 5, totalMs: 15 },
  at: '2026-11-30T04:00:00.000Z',
}
const GUARDED: ExchangeVerdict = { ...VERDICT, policies: ['no-refunds'], role: { distance: 0.4, threshold: 0.6, drifted: false } }

type Writable<T> = T extends readonly (infer Item)[]
  ? Writable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Writable<T[Key]> }
    : T
type Same<A, B> = [A, B] extends [B, A] ? true : false
/** The type that is written out and the schema say the same; the compiler refuses anything but true. */
const SAME: Same<Writable<ExchangeVerdict>, Writable<Static<typeof exchangeVerdictSchema>>> = true

interface Message {
  readonly field: readonly { readonly name: string; readonly type: string; readonly label: string }[]
  /** An optional field of proto3 stands in a group of its own, named after it. */
  readonly oneofDecl: readonly { readonly name: string }[]
}

describe('the verdict', () => {
  const validate = new Ajv({ strict: false }).compile(exchangeVerdictSchema)

  test('has the types that its schema describes', () => {
    assert.ok(SAME)
  })

  test('is copied with the schema’s fields in their order, and nothing that a detector says beyond them', () => {
    const more = { logit: 3, role: { ...GUARDED.role!, smoothed: 1 }, timings: { ...GUARDED.timings, started: 9 } }
    for (const verdict of [VERDICT, GUARDED]) {
      const copy = toExchangeVerdict({ ...verdict, logit: 3, timings: more.timings } as ExchangeVerdict)
      assert.deepEqual(copy, verdict)
      assert.ok(validate(copy), JSON.stringify(validate.errors))
      assert.notEqual(copy.reasons, verdict.reasons)
      const order = Object.keys(exchangeVerdictSchema.properties).filter((name) => name in verdict)
      assert.deepEqual(Object.keys(copy), order)
    }
    assert.deepEqual(toExchangeVerdict({ ...GUARDED, role: more.role }).role, GUARDED.role)
    assert.equal(toExchangeVerdict({ ...GUARDED, role: null }).role, null)
  })

  test('is a row with a column for each of the schema’s values', () => {
    const row = (verdict: ExchangeVerdict): Record<string, unknown> => {
      const values = verdictRow(verdict)
      return Object.fromEntries(VERDICT_COLUMNS.map((column, index): [string, unknown] => [column, values[index]]))
    }
    assert.deepEqual(VERDICT_COLUMNS.slice(0, 5), ['conversation', 'exchange', 'exchangeId', 'alert', 'level'])
    assert.equal(new Set(VERDICT_COLUMNS).size, VERDICT_COLUMNS.length)
    assert.equal(row(GUARDED)['role.distance'], 0.4)
    assert.equal(row(VERDICT)['role.distance'], undefined)
    assert.equal(row({ ...GUARDED, role: null })['role.distance'], undefined)
    assert.equal(row(VERDICT)['timings.totalMs'], 15)
  })

  test('has the same fields in gabion.proto', () => {
    const definition = loadSync(PROTO, { longs: Number, enums: String })
    const compare = (name: string, schema: object): void => {
      const { field, oneofDecl } = (definition[`gabion.v1.${name}`] as unknown as { type: Message }).type
      const optional = new Set(oneofDecl.map((group) => group.name))
      assert.deepEqual(
        Object.fromEntries(
          field.map(({ name: own, type, label }) => {
            const prefix = label === 'LABEL_REPEATED' ? 'repeated ' : optional.has(`_${own}`) ? 'optional ' : ''
            return [own, prefix + type]
          }),
        ),
        Object.fromEntries(
          Object.entries((schema as { properties: Record<string, object> }).properties).map(([own, part]) => [own, protoTypeOf(part)]),
        ),
        name,
      )
    }
    compare('ExchangeVerdict', exchangeVerdictSchema)
    compare('Timings', exchangeVerdictSchema.properties.timings)
    compare('Role', exchangeVerdictSchema.properties.role.anyOf[0])
    compare('Signals', exchangeVerdictSchema.properties.signals.anyOf[0])
    compare('Judge', exchangeVerdictSchema.properties.judge.anyOf[0])
  })
})

/** What a field of this schema is in the protocol. */
function protoTypeOf(schema: object): string {
  const { type, items, anyOf = [], properties } = schema as { type?: string; items?: object; anyOf?: object[]; properties?: object }
  if (anyOf.some((one) => (one as { type?: string }).type === 'null')) {
    return `optional ${protoTypeOf(anyOf.find((one) => (one as { type?: string }).type !== 'null')!)}`
  }
  if (anyOf.length > 0) return 'TYPE_ENUM'
  if (items !== undefined) return `repeated ${protoTypeOf(items)}`
  if (properties !== undefined) return 'TYPE_MESSAGE'
  const scalars: Readonly<Record<string, string>> = {
    string: 'TYPE_STRING',
    integer: 'TYPE_INT32',
    number: 'TYPE_DOUBLE',
    boolean: 'TYPE_BOOL',
  }
  return scalars[type ?? ''] ?? `unknown ${String(type)}`
}
