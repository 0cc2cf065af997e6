// Owns recordings of a cloud's vectors: one JSON line per text, appended after each response, so that nothing is paid for twice and
// a comparison can be repeated without the cloud. Knows no particular cloud.

import { appendFile, readFile } from 'node:fs/promises'
import { nodeCrypto } from '../../lazy.js'
import { GabionError } from '../../errors.js'
import type { CloudVector } from './provider.js'

const FORMAT = 'gabion-recording'
const VERSION = 1

/** A recorded text's vector. */
interface Entry extends CloudVector {
  readonly text: string
}

/** A recording: looked up by text, appended to. */
export class Recording {
  readonly file: string
  /** The model of its vectors. */
  readonly model: string
  readonly #entries: Map<string, CloudVector>
  #isNew: boolean

  private constructor(file: string, model: string, entries: Map<string, CloudVector>, isNew: boolean) {
    this.file = file
    this.model = model
    this.#entries = entries
    this.#isNew = isNew
  }

  /**
   * Opens a recording that may not exist yet.
   *
   * @param model must be the model of the file's vectors
   * @throws GabionError `ARTIFACT_INVALID` with file and line
   */
  static async open(file: string, model: string): Promise<Recording> {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    })
    if (text === null || text === '') return new Recording(file, model, new Map(), true)
    const { model: recorded, entries } = parse(text, file)
    if (recorded !== model)
      throw new GabionError('ARTIFACT_INVALID', `${file} contains vectors of ${recorded}, not of ${model}: choose another file`)
    return new Recording(file, model, entries, false)
  }

  /**
   * Loads an existing recording.
   *
   * @throws GabionError `ARTIFACT_INVALID` with file and line
   */
  static async load(file: string): Promise<Recording> {
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (cause) {
      throw new GabionError('ARTIFACT_INVALID', `cannot read the recording ${file}: ${(cause as Error).message}`, { cause })
    }
    const { model, entries } = parse(text, file)
    return new Recording(file, model, entries, false)
  }

  /** Recorded texts. */
  get size(): number {
    return this.#entries.size
  }

  /** Values per vector; 0 for an empty recording. */
  get dimensions(): number {
    return this.#entries.values().next().value?.vector.length ?? 0
  }

  /** Tokens charged for all texts. */
  get tokens(): number {
    let sum = 0
    for (const { tokens } of this.#entries.values()) sum += tokens
    return sum
  }

  /** The recorded vector of a text. */
  find(text: string): CloudVector | undefined {
    return this.#entries.get(keyOf(text))
  }

  /** Appends a text; resolves when its line is written. */
  async add(text: string, found: CloudVector): Promise<void> {
    const head = this.#isNew ? `${JSON.stringify({ format: FORMAT, version: VERSION, model: this.model })}\n` : ''
    this.#isNew = false
    const { vector, tokens, milliseconds } = found
    const bytes = Buffer.alloc(vector.length * 4)
    vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4))
    const line = { text: keyOf(text), tokens, milliseconds: Math.round(milliseconds * 1000) / 1000, vector: bytes.toString('base64') }
    this.#entries.set(keyOf(text), found)
    await appendFile(this.file, `${head}${JSON.stringify(line)}\n`)
  }
}

/** Texts are stored as hashes: a recording contains no private text. */
function keyOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}

function parse(text: string, file: string): { model: string; entries: Map<string, CloudVector> } {
  const lines = text.split('\n')
  // An incomplete last line is from an interrupted write; its text is requested again.
  lines.pop()
  const [head, ...rest] = lines
  const wrong = (line: number, what: string): GabionError => new GabionError('ARTIFACT_INVALID', `${file}: line ${String(line)} ${what}`)
  const { format, version, model } = (head === undefined ? {} : object(head, () => wrong(1, 'is not JSON'))) as Record<string, unknown>
  if (format !== FORMAT || version !== VERSION || typeof model !== 'string')
    throw wrong(1, `must name the format '${FORMAT}', version ${String(VERSION)} and the model`)
  const entries = new Map<string, CloudVector>()
  let width = 0
  for (const [index, line] of rest.entries()) {
    const number = index + 2
    const entry = object(line, () => wrong(number, 'is not JSON')) as Partial<Record<keyof Entry, unknown>>
    if (
      typeof entry.text !== 'string' ||
      typeof entry.tokens !== 'number' ||
      typeof entry.milliseconds !== 'number' ||
      typeof entry.vector !== 'string'
    )
      throw wrong(number, "must have 'text', 'tokens', 'milliseconds' and 'vector'")
    const bytes = Buffer.from(entry.vector, 'base64')
    if (bytes.length === 0 || bytes.length % 4 !== 0 || (width !== 0 && bytes.length !== width))
      throw wrong(number, 'has a vector of another length')
    width = bytes.length
    const vector = Float32Array.from({ length: width / 4 }, (_, index) => bytes.readFloatLE(index * 4))
    entries.set(entry.text, { vector, tokens: entry.tokens, milliseconds: entry.milliseconds })
  }
  return { model, entries }
}

function object(line: string, failure: () => GabionError): object {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Reported below.
  }
  throw failure()
}
