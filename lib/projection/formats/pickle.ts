// Owns reading pickles as data (protocols 0 to 5, as in Python's Lib/pickletools.py): a stack machine that executes nothing. Globals
// are looked up in an allowlist (pickle-globals.ts); others are refused by name.

import type { ByteReader } from './byte-reader.js'
import { damaged } from '../../files/damage.js'
import { build, callGlobal, findGlobal, instance } from './pickle-globals.js'
import { type PythonKey, type PythonValue } from './python-object.js'

/** More opcodes than any projection's pickle has; since an opcode's result is small, this bounds memory too. */
const MAX_STEPS = 200_000
/** Bytes of the longest integer that is read. */
const MAX_NUMBER_LENGTH = 8

/** Opcodes by byte; those that would execute something have a description for the error instead. */
const REFUSED: Readonly<Record<number, string>> = {
  0x50: 'a persistent id',
  0x51: 'a persistent id',
  0x69: 'a call by INST',
  0x6f: 'a call by OBJ',
  0x82: 'an extension code',
  0x83: 'an extension code',
  0x84: 'an extension code',
  0x8f: 'a set',
  0x90: 'a set',
  0x91: 'a set',
  0x92: 'a call by NEWOBJ_EX',
  0x97: 'a buffer outside the file',
  0x98: 'a buffer outside the file',
}

/**
 * Reads one pickle; bytes after it stay in the reader.
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export function readPickle(reader: ByteReader): PythonValue {
  return new PickleMachine(reader).run()
}

/** joblib writes arrays of Python objects as nested pickles, one level deep. */
function readNested(reader: ByteReader): PythonValue {
  return new PickleMachine(reader, () => {
    throw damaged('the pickle holds a pickle in a pickle')
  }).run()
}

class PickleMachine {
  readonly #reader: ByteReader
  readonly #nested: (reader: ByteReader) => PythonValue
  readonly #memo = new Map<number, PythonValue>()
  /** Stacks below the innermost mark. */
  readonly #outer: PythonValue[][] = []
  #stack: PythonValue[] = []
  #steps = 0

  constructor(reader: ByteReader, nested: (reader: ByteReader) => PythonValue = readNested) {
    this.#reader = reader
    this.#nested = nested
  }

  run(): PythonValue {
    for (;;) {
      if (++this.#steps > MAX_STEPS) throw damaged(`the pickle has more than ${String(MAX_STEPS)} steps: no projection needs as many`)
      const code = this.#reader.u8()
      if (code === 0x2e) return this.#pop()
      if (!(this.#numbers(code) || this.#texts(code) || this.#containers(code) || this.#memory(code) || this.#objects(code))) {
        const what = REFUSED[code]
        throw damaged(
          what === undefined
            ? `not a pickle: byte ${String(this.#reader.position - 1)} is no opcode`
            : `the pickle holds ${what}, which is not read: only numbers, texts, lists and a few named classes are`,
        )
      }
    }
  }

  #push(value: PythonValue): true {
    this.#stack.push(value)
    return true
  }

  #pop(): PythonValue {
    const value = this.#stack.pop()
    if (value === undefined) throw damaged('not a pickle: it takes a value that it has not made')
    return value
  }

  #top(): PythonValue {
    const value = this.#stack.at(-1)
    if (value === undefined) throw damaged('not a pickle: it uses a value that it has not made')
    return value
  }

  /** Everything since the last mark. */
  #popMark(): PythonValue[] {
    const items = this.#stack
    const outer = this.#outer.pop()
    if (outer === undefined) throw damaged('not a pickle: it goes back to a mark that it has not set')
    this.#stack = outer
    return items
  }

  #numbers(code: number): boolean {
    const reader = this.#reader
    switch (code) {
      case 0x4e:
        return this.#push(null)
      case 0x88:
        return this.#push(true)
      case 0x89:
        return this.#push(false)
      case 0x4a:
        return this.#push(reader.i32())
      case 0x4b:
        return this.#push(reader.u8())
      case 0x4d:
        return this.#push(reader.u16())
      case 0x47:
        return this.#push(reader.f64BigEndian())
      case 0x46:
        return this.#push(decimal(reader.line()))
      case 0x49:
        return this.#push(whole(reader.line(), true))
      case 0x4c:
        return this.#push(whole(reader.line().replace(/L$/, ''), false))
      case 0x8a:
        return this.#push(littleEndian(reader, reader.u8()))
      case 0x8b:
        return this.#push(littleEndian(reader, reader.i32()))
      default:
        return false
    }
  }

  #texts(code: number): boolean {
    const reader = this.#reader
    const utf8 = (length: number): string => reader.take(length).toString('utf8')
    switch (code) {
      case 0x53:
        return this.#push(quoted(reader.line()))
      case 0x54:
        return this.#push(reader.take(reader.i32() >>> 0))
      case 0x55:
        return this.#push(reader.take(reader.u8()))
      case 0x56:
        return this.#push(rawUnicode(reader.line()))
      case 0x58:
        return this.#push(utf8(reader.u32()))
      case 0x8c:
        return this.#push(utf8(reader.u8()))
      case 0x8d:
        return this.#push(utf8(reader.u64()))
      case 0x42:
        return this.#push(reader.take(reader.u32()))
      case 0x43:
        return this.#push(reader.take(reader.u8()))
      case 0x8e:
      case 0x96:
        return this.#push(reader.take(reader.u64()))
      default:
        return false
    }
  }

  #containers(code: number): boolean {
    switch (code) {
      case 0x28:
        this.#outer.push(this.#stack)
        this.#stack = []
        return true
      case 0x5d:
      case 0x29:
        return this.#push([])
      case 0x7d:
        return this.#push(new Map())
      case 0x6c:
      case 0x74:
        return this.#push(this.#popMark())
      case 0x85:
      case 0x86:
      case 0x87:
        return this.#push(this.#last(code - 0x84))
      case 0x64:
        return this.#push(fill(new Map(), this.#popMark()))
      case 0x61: {
        const item = this.#pop()
        listAt(this.#top()).push(item)
        return true
      }
      case 0x65: {
        const items = this.#popMark()
        const list = listAt(this.#top())
        for (const item of items) list.push(item)
        return true
      }
      case 0x73: {
        const [key, value] = this.#last(2)
        fill(dictionaryAt(this.#top()), [key!, value!])
        return true
      }
      case 0x75: {
        const items = this.#popMark()
        fill(dictionaryAt(this.#top()), items)
        return true
      }
      default:
        return false
    }
  }

  #last(count: number): PythonValue[] {
    if (this.#stack.length < count) throw damaged('not a pickle: it takes a value that it has not made')
    return this.#stack.splice(this.#stack.length - count)
  }

  #memory(code: number): boolean {
    const reader = this.#reader
    switch (code) {
      case 0x30:
        if (this.#stack.length === 0) this.#popMark()
        else this.#pop()
        return true
      case 0x31:
        this.#popMark()
        return true
      case 0x32:
        return this.#push(this.#top())
      case 0x67:
        return this.#recall(whole(reader.line(), false))
      case 0x68:
        return this.#recall(reader.u8())
      case 0x6a:
        return this.#recall(reader.u32())
      case 0x70:
        return this.#keep(whole(reader.line(), false))
      case 0x71:
        return this.#keep(reader.u8())
      case 0x72:
        return this.#keep(reader.u32())
      case 0x94:
        return this.#keep(this.#memo.size)
      case 0x80:
        if (reader.u8() > 5) throw damaged('the pickle is of a protocol beyond 5, which is not read')
        return true
      case 0x95:
        // A frame is a hint for reading ahead; joblib's arrays are between frames.
        if (reader.u64() > reader.left) throw damaged('cut short: a frame reaches beyond the end')
        return true
      default:
        return false
    }
  }

  #keep(index: PythonKey): true {
    this.#memo.set(index as number, this.#top())
    return true
  }

  #recall(index: PythonKey): true {
    const value = this.#memo.get(index as number)
    if (value === undefined) throw damaged('not a pickle: it recalls a value that it has not kept')
    return this.#push(value)
  }

  #objects(code: number): boolean {
    switch (code) {
      case 0x63: {
        const module = this.#reader.line()
        return this.#push(findGlobal(module, this.#reader.line()))
      }
      case 0x93: {
        const [module, name] = this.#last(2)
        if (typeof module !== 'string' || typeof name !== 'string') throw damaged('not a pickle: a name in it is no text')
        return this.#push(findGlobal(module, name))
      }
      case 0x81: {
        const [named, args] = this.#last(2)
        if (!Array.isArray(args) || args.length > 0) throw damaged('the pickle makes an object with arguments, which is not read')
        return this.#push(instance(named))
      }
      case 0x52: {
        const [named, args] = this.#last(2)
        if (!Array.isArray(args)) throw damaged('not a pickle: it calls with what are no arguments')
        return this.#push(callGlobal(named, args))
      }
      case 0x62: {
        const state = this.#pop()
        const built = build(this.#pop(), state, this.#reader, this.#nested)
        return this.#push(built)
      }
      default:
        return false
    }
  }
}

function listAt(value: PythonValue): PythonValue[] {
  if (!Array.isArray(value)) throw damaged('not a pickle: it appends to what is no list')
  return value as PythonValue[]
}

function dictionaryAt(value: PythonValue): Map<PythonKey, PythonValue> {
  if (!(value instanceof Map)) throw damaged('not a pickle: it sets a key of what is no dictionary')
  return value as Map<PythonKey, PythonValue>
}

function fill(dictionary: Map<PythonKey, PythonValue>, items: readonly PythonValue[]): Map<PythonKey, PythonValue> {
  if (items.length % 2 !== 0) throw damaged('not a pickle: a key of a dictionary has no value')
  for (let at = 0; at < items.length; at += 2) {
    const [key = null, value = null] = items.slice(at, at + 2)
    if (key !== null && typeof key === 'object') throw damaged('a dictionary in the pickle has a key that is no text or number')
    dictionary.set(key, value)
  }
  return dictionary
}

function whole(text: string, orBoolean: boolean): number | boolean {
  if (orBoolean && (text === '00' || text === '01')) return text === '01'
  const number = /^[+-]?\d{1,20}$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw damaged('a whole number in the pickle is none, or too large')
  return number
}

function decimal(text: string): number {
  const number = /^[+-]?(?:\d|\.\d)[\d.]{0,400}(?:[eE][+-]?\d{1,4})?$/.test(text.trim()) ? Number(text) : Number.NaN
  if (/^[+-]?(?:nan|inf)$/.test(text.trim())) return text.includes('nan') ? Number.NaN : text.startsWith('-') ? -Infinity : Infinity
  if (Number.isNaN(number)) throw damaged('a number in the pickle is none')
  return number
}

function littleEndian(reader: ByteReader, length: number): number {
  if (length === 0) return 0
  if (length < 0 || length > MAX_NUMBER_LENGTH)
    throw damaged(`a whole number in the pickle has ${String(length)} bytes, at most ${String(MAX_NUMBER_LENGTH)} are read`)
  let value = 0n
  for (const byte of reader.take(length).toReversed()) value = (value << 8n) | BigInt(byte)
  const number = Number(BigInt.asIntN(length * 8, value))
  if (!Number.isSafeInteger(number)) throw damaged('a whole number in the pickle is too large')
  return number
}

/** A quoted str of Python 2: bytes. */
function quoted(line: string): Uint8Array {
  const [, body] = /^(?:'(.*)'|"(.*)")$/.exec(line.trim())?.filter((part: string | undefined) => part !== undefined) ?? []
  if (body === undefined) throw damaged('not a pickle: a text in it has no quotes')
  const plain: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', "'": "'", '"': '"' }
  const text = body.replaceAll(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_whole, hex: string | undefined, letter: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    const character = plain[letter ?? '']
    if (character === undefined) throw damaged('not a pickle: a text in it has an escape that is none')
    return character
  })
  return Buffer.from(text, 'latin1')
}

/** Python's raw-unicode-escape: Latin-1 characters, and others as \\u or \\U with their code point. */
function rawUnicode(line: string): string {
  return line.replaceAll(/\\u([0-9a-fA-F]{4})|\\U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4})/g, (_whole, short?: string, long?: string) =>
    String.fromCodePoint(Number.parseInt(short ?? long ?? '', 16)),
  )
}
