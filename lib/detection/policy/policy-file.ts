// Owns the file in which a deployment writes down what its assistant must not be led into: YAML, read and checked field by field.
// Knows texts, no vectors.

import type * as Yaml from 'yaml'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { GabionError } from '../../errors.js'
import { lazily } from '../../lazy.js'

const yaml = lazily<typeof Yaml>('yaml')

/** An exchange, or for a sentence alone a reply without a user's message. */
export interface PolicyExample {
  readonly user: string
  readonly reply: string
}

/** One policy as it is written. */
export interface PolicyText {
  readonly name: string
  /** What must not happen, in a sentence. */
  readonly statement: string
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
  /** Share of ordinary conversations that a policy may mark, and role drift too. */
  readonly budget: number
  /** Whether role drift raises an alert; else it raises the level to elevated. */
  readonly roleAlert: boolean
  readonly policies: readonly PolicyText[]
}

/** How many examples a policy may have. */
export const EXAMPLES = { fewest: 3, most: 200 } as const
/** With fewer, a policy is little more than its nearest example. */
export const FEW_EXAMPLES = 8
const DEFAULT_BUDGET = 0.02

/**
 * Reads a policy file.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field
 */
export async function readPolicyFile(file: string): Promise<PolicyFile> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `cannot read the policy file ${file}: ${(cause as Error).message}`, { cause })
  }
  return parsePolicyFile(text, file)
}

/** @throws GabionError `ARTIFACT_INVALID` naming file and field, or the line that is not YAML */
export function parsePolicyFile(text: string, file: string): PolicyFile {
  const { LineCounter, parseDocument } = yaml()
  const lineCounter = new LineCounter()
  // Aliases could unfold a small file to any size; a policy file has no use for them.
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
  const reader = new Reader(file, '', root)
  reader.only(['format', 'version', 'assistant', 'benign', 'budget', 'role', 'policies'])
  if (reader.text('format') !== 'gabion-policies') throw reader.wrong('format', `'gabion-policies'`)
  if (reader.get('version') !== 1) throw reader.wrong('version', '1, the version that this release reads')
  const benign = reader.optionalText('benign')
  const budget = reader.get('budget') ?? DEFAULT_BUDGET
  if (typeof budget !== 'number' || !(budget > 0 && budget < 1)) throw reader.wrong('budget', 'a share between 0 and 1, such as 0.02')
  const role = reader.get('role') ?? 'elevated'
  if (role !== 'elevated' && role !== 'alert') throw reader.wrong('role', `'elevated' or 'alert'`)
  const policies = reader.list('policies').map((value, index) => readPolicy(new Reader(file, `policies[${String(index)}].`, value)))
  if (policies.length === 0) throw reader.wrong('policies', 'a list of one or more policies')
  const names = policies.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw reader.wrong('policies', `policies of different names ('${twice}' occurs twice)`)
  return {
    file,
    assistant: reader.optionalText('assistant') ?? '',
    benign: benign === null ? null : resolve(dirname(file), benign),
    budget,
    roleAlert: role === 'alert',
    policies,
  }
}

function readPolicy(reader: Reader): PolicyText {
  reader.only(['name', 'statement', 'breaks', 'allowed'])
  const name = reader.text('name')
  if (!/^[\w-]{1,60}$/.test(name)) throw reader.wrong('name', 'letters, digits, _ and -, at most 60')
  const breaks = reader.list('breaks').map((value, index) => readExample(reader, value, `breaks[${String(index)}]`))
  if (breaks.length < EXAMPLES.fewest || breaks.length > EXAMPLES.most) {
    throw reader.wrong('breaks', `${String(EXAMPLES.fewest)} to ${String(EXAMPLES.most)} examples, there are ${String(breaks.length)}`)
  }
  const allowed = (reader.get('allowed') === undefined ? [] : reader.list('allowed')).map((value, index) =>
    readExample(reader, value, `allowed[${String(index)}]`),
  )
  if (allowed.length > EXAMPLES.most) throw reader.wrong('allowed', `at most ${String(EXAMPLES.most)} examples`)
  return { name, statement: reader.text('statement'), breaks, allowed }
}

/** A sentence, or `{user, assistant}`. */
function readExample(reader: Reader, value: unknown, key: string): PolicyExample {
  const expected = 'a sentence, or an exchange of user and assistant'
  if (typeof value === 'string' && value.trim() !== '') return { user: '', reply: value.trim() }
  if (typeof value !== 'object' || value === null) throw reader.wrong(key, expected)
  const { user = '', assistant, ...others } = value as Record<string, unknown>
  if (typeof user !== 'string' || typeof assistant !== 'string' || assistant.trim() === '' || Object.keys(others).length > 0) {
    throw reader.wrong(key, expected)
  }
  return { user: user.trim(), reply: assistant.trim() }
}

/** One mapping of the file. */
class Reader {
  readonly #file: string
  readonly #path: string
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(file: string, path: string, value: unknown) {
    this.#file = file
    this.#path = path
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new GabionError('ARTIFACT_INVALID', `${file}: ${path === '' ? 'the file' : path.slice(0, -1)} must be a mapping of fields`)
    }
    this.#fields = value as Record<string, unknown>
  }

  wrong(key: string, expected: string): GabionError {
    return new GabionError('ARTIFACT_INVALID', `${this.#file}: field '${this.#path}${key}' must be ${expected}`)
  }

  /** A misspelt field would be a policy that silently does something else. */
  only(known: readonly string[]): void {
    const foreign = Object.keys(this.#fields).find((key) => !known.includes(key))
    if (foreign !== undefined) throw this.wrong(foreign, `one of ${known.join(', ')}`)
  }

  get(key: string): unknown {
    return this.#fields[key]
  }

  text(key: string): string {
    const value = this.#fields[key]
    if (typeof value !== 'string' || value.trim() === '') throw this.wrong(key, 'a text')
    return value.trim()
  }

  optionalText(key: string): string | null {
    return this.#fields[key] === undefined ? null : this.text(key)
  }

  list(key: string): unknown[] {
    const value = this.#fields[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'a list')
    return value as unknown[]
  }
}
