// Owns the allowlist of globals in pickles, with a reader for each: the classes and functions by which scikit-learn, NumPy and joblib
// write estimators and arrays. Other globals are refused, however they are used.

import { decodeArray, elementCount, parseElementType, type ElementType, type NumpyArray } from '../../files/numpy-array.js'
import type { ByteReader } from './byte-reader.js'
import { damaged } from '../../files/damage.js'
import { isUint8Array } from '../../typed-arrays.js'
import { PickleInternal, PythonObject, type PythonKey, type PythonValue } from './python-object.js'

/** An allowed global. */
export class PickleGlobal extends PickleInternal {
  readonly name: string
  readonly #meaning: Meaning

  constructor(name: string, meaning: Meaning) {
    super()
    this.name = name
    this.#meaning = meaning
  }

  get meaning(): Meaning {
    return this.#meaning
  }
}

/** `class`: instances are read as data; a function: returns the result of a call; `mark`: may only be named. */
type Meaning = 'class' | 'mark' | ((args: readonly PythonValue[]) => PythonValue)

/** A NumPy dtype before its byte order is known. */
class ElementDescription extends PickleInternal {
  constructor(readonly descriptor: string) {
    super()
  }

  byteOrder = '<'

  /** Null for arrays of Python objects. */
  get type(): ElementType | null {
    return this.descriptor === 'O8' ? null : parseElementType(`${this.byteOrder}${this.descriptor}`)
  }
}

/** An array whose content follows. */
class EmptyArray extends PickleInternal {}

/** Classes whose instances are read, under their names in all versions of scikit-learn. */
const CLASSES = [
  'sklearn.decomposition._pca.PCA',
  'sklearn.decomposition.pca.PCA',
  'sklearn.decomposition._incremental_pca.IncrementalPCA',
  'sklearn.decomposition.incremental_pca.IncrementalPCA',
  'sklearn.preprocessing._data.StandardScaler',
  'sklearn.preprocessing.data.StandardScaler',
  'sklearn.pipeline.Pipeline',
  'joblib.numpy_pickle.NumpyArrayWrapper',
]
const ARRAY_WRAPPER = 'joblib.numpy_pickle.NumpyArrayWrapper'
const NUMPY_CORE = ['numpy.core', 'numpy._core']

const TABLE = new Map<string, Meaning>([
  ...CLASSES.map((name): [string, Meaning] => [name, 'class']),
  ['numpy.ndarray', 'mark'],
  ['numpy.dtype', makeDescription],
  ...NUMPY_CORE.flatMap((core): [string, Meaning][] => [
    [`${core}.multiarray._reconstruct`, (): PythonValue => new EmptyArray()],
    [`${core}.multiarray.scalar`, makeScalar],
    [`${core}.numeric._frombuffer`, fromBuffer],
  ]),
  ...['copy_reg', 'copyreg'].map((module): [string, Meaning] => [`${module}._reconstructor`, reconstruct]),
  ...['__builtin__', 'builtins'].flatMap((module): [string, Meaning][] => [
    [`${module}.object`, 'mark'],
    [`${module}.bytes`, emptyBytes],
  ]),
  ['_codecs.encode', encode],
  ['collections.OrderedDict', (): PythonValue => new Map()],
])

/** @throws GabionError `ARTIFACT_INVALID` for a name that is not in the table */
export function findGlobal(module: string, name: string): PickleGlobal {
  const full = `${module}.${name}`
  const meaning = TABLE.get(full)
  if (meaning === undefined) {
    throw damaged(
      `the pickle names ${JSON.stringify(full.length > 120 ? `${full.slice(0, 120)}…` : full)}, which is refused: ` +
        'only PCA, StandardScaler and Pipeline of scikit-learn with arrays of numbers are read, and nothing of a pickle is ever run',
    )
  }
  return new PickleGlobal(full, meaning)
}

/** The result of a call. */
export function callGlobal(callable: unknown, args: readonly PythonValue[]): PythonValue {
  if (!(callable instanceof PickleGlobal)) throw damaged('the pickle calls what is no function')
  if (callable.name === ARRAY_WRAPPER || typeof callable.meaning !== 'function')
    throw damaged(`the pickle calls ${callable.name}, which is not read`)
  return callable.meaning(args)
}

/** A new instance of a class, without attributes. */
export function instance(named: unknown): PythonValue {
  if (!(named instanceof PickleGlobal) || named.meaning !== 'class') throw damaged('the pickle makes an object of what is no class')
  return new PythonObject(named.name)
}

/**
 * Sets an object's state; for joblib's arrays, reads the numbers that follow.
 *
 * @param readNested reads a pickle inside the pickle
 */
export function build(
  target: PythonValue,
  state: PythonValue,
  reader: ByteReader,
  readNested: (reader: ByteReader) => PythonValue,
): PythonValue {
  if (target instanceof PythonObject) {
    const attributes = Array.isArray(state) ? (state as readonly PythonValue[])[0] : state
    if (!(attributes instanceof Map)) throw damaged(`${target.className} in the pickle has no dictionary of attributes`)
    target.attributes = attributes as Map<PythonKey, PythonValue>
    return target.className === ARRAY_WRAPPER ? readWrapped(target, reader, readNested) : target
  }
  if (target instanceof ElementDescription) {
    const order = Array.isArray(state) ? (state as readonly PythonValue[])[1] : null
    target.byteOrder = textOf(order, 'a byte order')
    return target
  }
  if (target instanceof EmptyArray) return arrayOfState(state)
  throw damaged('the pickle gives a state to what has none')
}

function reconstruct([named, base]: readonly PythonValue[]): PythonValue {
  if (!(base instanceof PickleGlobal) || !base.name.endsWith('.object'))
    throw damaged('the pickle makes an object of a base other than object')
  return instance(named)
}

function makeDescription([descriptor]: readonly PythonValue[]): PythonValue {
  return new ElementDescription(textOf(descriptor, 'a type of numbers'))
}

function emptyBytes(args: readonly PythonValue[]): PythonValue {
  if (args.length > 0) throw damaged('the pickle makes bytes of something, which is not read')
  return new Uint8Array(0)
}

/** Bytes in Python 3's encoding for protocols without a bytes opcode. */
function encode([text, encoding]: readonly PythonValue[]): PythonValue {
  if (encoding !== 'latin1') throw damaged('the pickle encodes a text other than as latin1, which is not read')
  return Buffer.from(textOf(text, 'a text'), 'latin1')
}

function makeScalar([type, bytes]: readonly PythonValue[]): PythonValue {
  if (!(type instanceof ElementDescription) || type.type === null || !isUint8Array(bytes)) throw damaged('a number of NumPy is none')
  const { values } = decodeArray(bytes, type.type, [], false)
  return values[0] ?? null
}

function fromBuffer([bytes, type, shape, order]: readonly PythonValue[]): PythonValue {
  if (!(type instanceof ElementDescription) || type.type === null || !isUint8Array(bytes)) throw damaged('an array of NumPy has no numbers')
  return decodeArray(bytes, type.type, shapeOf(shape), order === 'F')
}

/** numpy.ndarray.__setstate__: version, shape, dtype, Fortran order, and bytes or a list. */
function arrayOfState(state: PythonValue): NumpyArray {
  if (!Array.isArray(state) || state.length !== 5) throw damaged('an array of NumPy has no state')
  const [, shape, type, fortranOrder, content] = state as readonly PythonValue[]
  if (!(type instanceof ElementDescription)) throw damaged('an array of NumPy has no type')
  const extents = shapeOf(shape)
  if (type.type !== null) {
    if (!isUint8Array(content)) throw damaged('an array of NumPy has no numbers')
    return decodeArray(content, type.type, extents, fortranOrder === true)
  }
  return textArray(content, extents)
}

/** Arrays of Python objects are read if all are texts, as column names are. */
function textArray(content: PythonValue | undefined, shape: readonly number[]): NumpyArray {
  if (!Array.isArray(content) || content.length !== elementCount(shape) || !content.every((item) => typeof item === 'string'))
    throw damaged('an array of Python objects is not read unless all of them are texts')
  return { shape, values: content }
}

/** An array of joblib: its description is in the pickle, its numbers follow in the file. */
function readWrapped({ attributes }: PythonObject, reader: ByteReader, readNested: (reader: ByteReader) => PythonValue): NumpyArray {
  const type = attributes.get('dtype')
  const shape = shapeOf(attributes.get('shape'))
  if (!(type instanceof ElementDescription)) throw damaged("an array of joblib's has no type")
  if (type.type === null) {
    const content = readNested(reader)
    if (!isTextArray(content)) throw damaged('an array of Python objects is not read unless all of them are texts')
    return content
  }
  if (typeof attributes.get('numpy_array_alignment_bytes') === 'number') reader.take(reader.u8())
  return decodeArray(reader.take(elementCount(shape) * type.type.size), type.type, shape, attributes.get('order') === 'F')
}

function isTextArray(value: PythonValue): value is NumpyArray {
  return typeof value === 'object' && value !== null && 'shape' in value && 'values' in value && Array.isArray(value.values)
}

function shapeOf(value: PythonValue | undefined): number[] {
  if (!Array.isArray(value) || !value.every((extent) => typeof extent === 'number')) throw damaged("an array's shape is none")
  return value
}

function textOf(value: PythonValue | undefined, what: string): string {
  if (isUint8Array(value)) return Buffer.from(value).toString('latin1')
  if (typeof value !== 'string') throw damaged(`${what} in the pickle is no text`)
  return value
}
