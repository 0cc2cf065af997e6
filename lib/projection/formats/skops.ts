// Owns skops' files: a ZIP archive of a JSON schema and of arrays. Only a few classes of the schema are read.

import { decodeNpy } from '../../files/npy.js'
import { damaged } from '../../files/damage.js'
import { PythonObject, type PythonKey, type PythonValue } from './python-object.js'

const CLASSES = new Set([
  'sklearn.decomposition._pca.PCA',
  'sklearn.decomposition._incremental_pca.IncrementalPCA',
  'sklearn.preprocessing._data.StandardScaler',
  'sklearn.pipeline.Pipeline',
])
/** Deeper than any pipeline. */
const MAX_DEPTH = 50
const MAX_NODES = 100_000

/** A node of the schema. */
type Node = Readonly<Record<string, unknown>>

/**
 * Reads a skops file.
 *
 * @param files unpacked, by name
 * @throws GabionError `ARTIFACT_INVALID`
 */
export function readSkops(files: ReadonlyMap<string, Uint8Array>): PythonValue {
  const schema = files.get('schema.json')
  if (schema === undefined) throw damaged('the archive has no schema.json')
  let root: unknown
  try {
    root = JSON.parse(Buffer.from(schema).toString('utf8'))
  } catch (cause) {
    throw damaged(`schema.json is not JSON: ${(cause as Error).message}`, cause)
  }
  return new SkopsReader(files).read(root, 0)
}

class SkopsReader {
  readonly #files: ReadonlyMap<string, Uint8Array>
  readonly #seen = new Map<unknown, PythonValue>()
  #nodes = 0

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#files = files
  }

  read(value: unknown, depth: number): PythonValue {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged('schema.json: a node is no object')
    if (depth > MAX_DEPTH || ++this.#nodes > MAX_NODES) throw damaged('schema.json is deeper or longer than any projection needs')
    const node = value as Node
    const read = this.#value(node, depth)
    if (typeof node.__id__ === 'number') this.#seen.set(node.__id__, read)
    return read
  }

  #value(node: Node, depth: number): PythonValue {
    switch (node.__loader__) {
      case 'JsonNode':
        return plainValue(node.content)
      case 'DictNode':
        return this.#dictionary(node.content, depth)
      case 'ListNode':
      case 'TupleNode':
        if (!Array.isArray(node.content)) throw damaged('schema.json: a list has no items')
        return node.content.map((item) => this.read(item, depth + 1))
      case 'NdArrayNode':
        return this.#array(node)
      case 'ObjectNode':
        return this.#object(node, depth)
      case 'CachedNode': {
        const value = this.#seen.get(node.__id__)
        if (value === undefined) throw damaged('schema.json: refers to a node that is not before it')
        return value
      }
      default:
        throw damaged(`schema.json: a node of kind ${short(node.__loader__)} (${fullName(node)}) is not read`)
    }
  }

  #object(node: Node, depth: number): PythonObject {
    const className = fullName(node)
    if (!CLASSES.has(className))
      throw damaged(`${short(className)} is refused: only PCA, StandardScaler and Pipeline of scikit-learn are read`)
    const object = new PythonObject(className)
    const attributes = this.read(node.content, depth + 1)
    if (!(attributes instanceof Map)) throw damaged(`${className} has no attributes`)
    object.attributes = attributes as Map<PythonKey, PythonValue>
    return object
  }

  #dictionary(content: unknown, depth: number): Map<PythonKey, PythonValue> {
    if (typeof content !== 'object' || content === null || Array.isArray(content)) throw damaged('schema.json: a dictionary has no items')
    return new Map(Object.entries(content).map(([key, value]) => [key, this.read(value, depth + 1)]))
  }

  #array(node: Node): PythonValue {
    const content = typeof node.file === 'string' ? this.#files.get(node.file) : undefined
    // Arrays of Python objects have a list instead of a file.
    if (content === undefined) throw damaged(`schema.json: an array refers to ${short(node.file)}, which the archive lacks`)
    const array = decodeNpy(content)
    return array.shape.length === 0 ? (array.values[0] ?? null) : array
  }
}

function plainValue(content: unknown): PythonKey {
  let value: unknown
  try {
    value = JSON.parse(String(content))
  } catch (cause) {
    throw damaged('schema.json: a plain value is not JSON', cause)
  }
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  throw damaged('schema.json: a plain value is none')
}

function fullName(node: Node): string {
  return `${String(node.__module__)}.${String(node.__class__)}`
}

function short(value: unknown): string {
  const text = JSON.stringify(String(value))
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
