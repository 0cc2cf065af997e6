// Owns the policy file, a deployment's rules for its assistant: YAML, read and checked field by field.
// Knows texts, no vectors.

import type * as Yaml from 'yaml'
import { dirname, resolve } from 'node:path'
import { GabionError } from '../../errors.js'
import { isFields, JsonObject } from '../../json/json-object.js'
import { lazily } from '../../lazy.js'

const yaml = lazily<typeof Yaml>('yaml')

/** An exchange; a single sentence is a reply without a user's message. */
export interface PolicyExample {
  readonly user: string
  readonly reply: string
}

/** One policy of the file. */
export interface PolicyText {
  readonly name: string
  /** The rule, in a sentence. */
  readonly statement: string
  /** Empty for a policy that is its statement alone, which the guard reads. */
  readonly breaks: readonly PolicyExample[]
  readonly allowed: readonly PolicyExample[]
}

/** A file of policies. */
export interface PolicyFile {
  readonly file: string
  /** The assistant's system prompt; empty when the file has none. */
  readonly assistant: string
  /** File of ordinary conversations, resolved against the policy file; null when it names none. */
  readonly benign: string | null
  /** Share of ordinary conversations that a policy may flag; also that of role drift. */
  readonly budget: number
  /** Whether role drift raises an alert; else it raises the level to elevated. */
  readonly roleAlert: boolean
  readonly policies: readonly PolicyText[]
}

/** Limits on the number of examples per policy. */
export const EXAMPLES = { min: 3, max: 200 } as const
/** With fewer, a policy is little more than a search for the nearest example. */
export const FEW_EXAMPLES = 8
const DEFAULT_BUDGET = 0.02

/**
 * Reads the text of a policy file.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field, or the line that is not YAML
 */
export function parsePolicyFile(text: string, file: string): PolicyFile {
  const { LineCounter, parseDocument } = yaml()
  const lineCounter = new LineCounter()
  // Aliases can expand a small file to any size, and a policy file does not need them.
  const document = parseDocument(text, { lineCounter })
  const [problem] = document.errors
  if (problem !== undefined) {
    throw new GabionError(
      'ARTIFACT_INVALID',
      `${file}, line ${String(problem.linePos?.[0].line ?? 1)}: not YAML: ${problem.message.split('\n')[0] ?? ''}`,
    )
  }
  let root: unknown
  try {
    root = document.toJS({ maxAliasCount: 0 })
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `${file}: aliases are not read in a policy file`, { cause })
  }
  if (!isFields(root)) throw new GabionError('ARTIFACT_INVALID', `${file} must hold a mapping of fields`)
  const reader = JsonObject.of(root, { source: file, code: 'ARTIFACT_INVALID' })
  reader.only(['format', 'version', 'assistant', 'benign', 'budget', 'role', 'policies'])
  reader.checkFormat('gabion-policies', 1)
  const budget = reader.has('budget') ? reader.number('budget') : DEFAULT_BUDGET
  if (!(budget > 0 && budget < 1)) throw reader.wrong('budget', 'a share between 0 and 1, such as 0.02')
  const policies = reader.objects('policies').map(readPolicy)
  if (policies.length === 0) throw reader.wrong('policies', 'a list of one or more policies')
  const names = policies.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw reader.wrong('policies', `policies of different names ('${twice}' occurs twice)`)
  return {
    file,
    assistant: 'assistant' in reader.fields ? reader.text('assistant') : '',
    benign: 'benign' in reader.fields ? resolve(dirname(file), reader.text('benign')) : null,
    budget,
    roleAlert: reader.has('role') && reader.oneOf('role', ['elevated', 'alert']) === 'alert',
    policies,
  }
}

function readPolicy(reader: JsonObject): PolicyText {
  reader.only(['name', 'statement', 'breaks', 'allowed'])
  const name = reader.text('name')
  if (!/^[\w-]{1,60}$/.test(name)) throw reader.wrong('name', 'letters, digits, _ and -, at most 60')
  const examples = (key: string): PolicyExample[] =>
    reader.list(key).map((value, index) => readExample(reader, value, `${key}[${String(index)}]`))
  const breaks = 'breaks' in reader.fields ? examples('breaks') : []
  if ('breaks' in reader.fields && (breaks.length < EXAMPLES.min || breaks.length > EXAMPLES.max)) {
    throw reader.wrong('breaks', `${String(EXAMPLES.min)} to ${String(EXAMPLES.max)} examples`)
  }
  if (breaks.length === 0 && 'allowed' in reader.fields) throw reader.wrong('allowed', "omitted without examples in 'breaks'")
  const allowed = 'allowed' in reader.fields ? examples('allowed') : []
  if (allowed.length > EXAMPLES.max) throw reader.wrong('allowed', `at most ${String(EXAMPLES.max)} examples`)
  return { name, statement: reader.text('statement'), breaks, allowed }
}

/** A sentence, or `{user, assistant}`. */
function readExample(reader: JsonObject, value: unknown, key: string): PolicyExample {
  const expected = 'a sentence, or an exchange of user and assistant'
  if (typeof value === 'string' && value.trim() !== '') return { user: '', reply: value.trim() }
  if (!isFields(value)) throw reader.wrong(key, expected, value)
  const { user = '', assistant, ...others } = value
  if (typeof user !== 'string' || typeof assistant !== 'string' || assistant.trim() === '' || Object.keys(others).length > 0) {
    throw reader.wrong(key, expected, value)
  }
  return { user: user.trim(), reply: assistant.trim() }
}
