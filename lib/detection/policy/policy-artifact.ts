// Owns the file format of fitted policies: JSON with vectors as base64 of little-endian floats. Such a file saves embedding and
// fitting at every start. Knows the parts, not their fitting.

import { encodeNumbers, JsonObject } from '../../json/json-object.js'
import { readFingerprint, readThreshold } from '../erosion/artifact.js'
import type { ExampleVectors } from './policy-head.js'
import type { PolicySet, ReadyPolicy } from './policy-set.js'

const FORMAT = 'gabion-policy-set'
const VERSION = 1

/** The file's text; equal parts give equal bytes. */
export function formatPolicySet({ embedder, windows, policies, statements, role }: PolicySet): string {
  const example = ({ user, reply, flags }: ExampleVectors): object => ({
    ...(user !== null && { user: encodeNumbers(Float32Array.from(user)) }),
    reply: encodeNumbers(Float32Array.from(reply)),
    flags: Number(flags.opening) + 2 * Number(flags.anywhere),
  })
  const fields = {
    format: FORMAT,
    version: VERSION,
    embedder,
    windows,
    role:
      role === null
        ? null
        : {
            threshold: role.threshold,
            alert: role.alert,
            ...(role.prompt !== null && { prompt: encodeNumbers(Float32Array.from(role.prompt)) }),
          },
    dimensions: policies[0]?.head.dimensions ?? 0,
    ...(statements.length > 0 && { statements }),
    policies: policies.map(({ name, statement, examples, threshold, head }) => ({
      name,
      statement,
      examples,
      threshold,
      head: {
        intercept: head.intercept,
        lead: head.lead,
        flags: head.flags,
        reply: encodeNumbers(Float32Array.from(head.reply)),
        user: encodeNumbers(Float32Array.from(head.user)),
        breaks: head.breaks.map(example),
        allowed: head.allowed.map(example),
      },
    })),
  }
  return `${JSON.stringify(fields, null, 1)}\n`
}

/** @throws GabionError `ARTIFACT_INVALID` naming the source and the field */
export function parsePolicySet(text: string, source: string): PolicySet {
  const root = JsonObject.parse(text, { source, code: 'ARTIFACT_INVALID', what: 'a set of policies' })
  root.checkFormat(FORMAT, VERSION)
  const dimensions = root.integer('dimensions', 0)
  const statements = root.has('statements') ? root.objects('statements') : []
  const windows = root.object('windows')
  return {
    embedder: readFingerprint(root.object('embedder')),
    windows: { size: windows.integer('size', 1), stride: windows.integer('stride', 1) },
    policies: root.objects('policies').map((policy) => readPolicy(policy, dimensions)),
    statements: statements.map((policy) => ({ name: policy.string('name'), statement: policy.string('statement') })),
    role: readRole(root, dimensions),
  }
}

function readPolicy(policy: JsonObject, dimensions: number): ReadyPolicy {
  const head = policy.object('head')
  const flags = head.numbers('flags', 2)
  const examples = (key: string): ExampleVectors[] =>
    head.objects(key).map((example) => {
      const bits = example.integer('flags', 0)
      return {
        user: example.has('user') ? example.encoded('user', Float32Array, dimensions) : null,
        reply: example.encoded('reply', Float32Array, dimensions),
        flags: { opening: (bits & 1) !== 0, anywhere: (bits & 2) !== 0 },
      }
    })
  return {
    name: policy.string('name'),
    statement: policy.string('statement'),
    examples: policy.strings('examples'),
    threshold: readThreshold(policy.object('threshold')),
    head: {
      dimensions,
      intercept: head.number('intercept'),
      lead: head.number('lead'),
      flags: [flags[0]!, flags[1]!],
      reply: Float64Array.from(head.encoded('reply', Float32Array, dimensions)),
      user: Float64Array.from(head.encoded('user', Float32Array, dimensions)),
      breaks: examples('breaks'),
      allowed: examples('allowed'),
    },
  }
}

function readRole(root: JsonObject, dimensions: number): PolicySet['role'] {
  if (!root.has('role')) return null
  const role = root.object('role')
  return {
    prompt: role.has('prompt') ? role.encoded('prompt', Float32Array, dimensions) : null,
    threshold: readThreshold(role.object('threshold')),
    alert: role.boolean('alert'),
  }
}
