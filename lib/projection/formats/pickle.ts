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
  /** The opcodes that are read, under their names of pickletools. */
  static readonly #STEPS: Readonly<Record<number, (machine: PickleMachine, reader: ByteReader) => unknown>> = {
    // NONE, NEWTRUE, NEWFALSE; then BININT, BININT1, BININT2, BINFLOAT, FLOAT, INT, LONG, LONG1, LONG4
    0x4e: (machine) => machine.#push(null),
    0x88: (machine) => machine.#push(true),
    0x89: (machine) => machine.#push(false),
    0x4a: (machine, reader) => machine.#push(reader.i32()),
    0x4b: (machine, reader) => machine.#push(reader.u8()),
    0x4d: (machine, reader) => machine.#push(reader.u16()),
    0x47: (machine, reader) => machine.#push(reader.f64BigEndian()),
    0x46: (machine, reader) => machine.#push(decimal(reader.line())),
    0x49: (machine, reader) => machine.#push(whole(reader.line(), true)),
    0x4c: (machine, reader) => machine.#push(whole(reader.line().replace(/L$/, ''), false)),
    0x8a: (machine, reader) => machine.#push(littleEndian(reader, reader.u8())),
    0x8b: (machine, reader) => machine.#push(littleEndian(reader, reader.i32())),
    // STRING, BINSTRING, SHORT_BINSTRING, UNICODE, BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
    0x53: (machine, reader) => machine.#push(quoted(reader.line())),
    0x54: (machine, reader) => machine.#push(reader.take(reader.i32() >>> 0)),
    0x55: (machine, reader) => machine.#push(reader.take(reader.u8())),
    0x56: (machine, reader) => machine.#push(rawUnicode(reader.line())),
    0x58: (machine, reader) => machine.#push(reader.take(reader.u32()).toString('utf8')),
    0x8c: (machine, reader) => machine.#push(reader.take(reader.u8()).toString('utf8')),
    0x8d: (machine, reader) => machine.#push(reader.take(reader.u64()).toString('utf8')),
    // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8
    0x42: (machine, reader) => machine.#push(reader.take(reader.u32())),
    0x43: (machine, reader) => machine.#push(reader.take(reader.u8())),
    0x8e: (machine, reader) => machine.#push(reader.take(reader.u64())),
    0x96: (machine, reader) => machine.#push(reader.take(reader.u64())),
    // MARK
    0x28: (machine) => {
      machine.#outer.push(machine.#stack)
      machine.#stack = []
    },
    // EMPTY_LIST, EMPTY_TUPLE, EMPTY_DICT; LIST, TUPLE, DICT; TUPLE1 to TUPLE3
    0x5d: (machine) => machine.#push([]),
    0x29: (machine) => machine.#push([]),
    0x7d: (machine) => machine.#push(new Map()),
    0x6c: (machine) => machine.#push(machine.#popMark()),
    0x74: (machine) => machine.#push(machine.#popMark()),
    0x64: (machine) => machine.#push(fill(new Map(), machine.#popMark())),
    0x85: (machine) => machine.#push(machine.#last(1)),
    0x86: (machine) => machine.#push(machine.#last(2)),
    0x87: (machine) => machine.#push(machine.#last(3)),
    // APPEND, APPENDS, SETITEM, SETITEMS
    0x61: (machine) => append(machine.#last(1), machine.#top()),
    0x65: (machine) => append(machine.#popMark(), machine.#top()),
    0x73: (machine) => set(machine.#last(2), machine.#top()),
    0x75: (machine) => set(machine.#popMark(), machine.#top()),
    // POP, POP_MARK, DUP
    0x30: (machine) => (machine.#stack.length === 0 ? machine.#popMark() : machine.#pop()),
    0x31: (machine) => machine.#popMark(),
    0x32: (machine) => machine.#push(machine.#top()),
    // GET, BINGET, LONG_BINGET; PUT, BINPUT, LONG_BINPUT, MEMOIZE
    0x67: (machine, reader) => machine.#recall(whole(reader.line(), false)),
    0x68: (machine, reader) => machine.#recall(reader.u8()),
    0x6a: (machine, reader) => machine.#recall(reader.u32()),
    0x70: (machine, reader) => machine.#keep(whole(reader.line(), false)),
    0x71: (machine, reader) => machine.#keep(reader.u8()),
    0x72: (machine, reader) => machine.#keep(reader.u32()),
    0x94: (machine) => machine.#keep(machine.#memo.size),
    // PROTO
    0x80: (_, reader) => {
      if (reader.u8() > 5) throw damaged('the pickle is of a protocol beyond 5, which is not read')
    },
    // FRAME is a hint for reading ahead; joblib's arrays are between frames.
    0x95: (_, reader) => {
      if (reader.u64() > reader.left) throw damaged('cut short: a frame reaches beyond the end')
    },
    // GLOBAL, STACK_GLOBAL, NEWOBJ, REDUCE, BUILD
    0x63: (machine, reader) => machine.#push(findGlobal(reader.line(), reader.line())),
    0x93: (machine) => {
      const [module, name] = machine.#last(2)
      if (typeof module !== 'string' || typeof name !== 'string') throw damaged('not a pickle: a name in it is no text')
      machine.#push(findGlobal(module, name))
    },
    0x81: (machine) => {
      const [named, args] = machine.#last(2)
      if (!Array.isArray(args) || args.length > 0) throw damaged('the pickle makes an object with arguments, which is not read')
      machine.#push(instance(named))
    },
    0x52: (machine) => {
      const [named, args] = machine.#last(2)
      if (!Array.isArray(args)) throw damaged('not a pickle: it calls with what are no arguments')
      machine.#push(callGlobal(named, args))
    },
    0x62: (machine, reader) => {
      const state = machine.#pop()
      machine.#push(build(machine.#pop(), state, reader, machine.#nested))
    },
  }

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
      // STOP
      if (code === 0x2e) return this.#pop()
      const step = PickleMachine.#STEPS[code]
      if (step === undefined) throw this.#unread(code)
      step(this, this.#reader)
    }
  }

  #unread(code: number): Error {
    const what = REFUSED[code]
    return damaged(
      what === undefined
        ? `not a pickle: byte ${String(this.#reader.position - 1)} is no opcode`
        : `the pickle holds ${what}, which is not read: only numbers, texts, lists and a few named classes are`,
    )
  }

  #push(value: PythonValue): void {
    this.#stack.push(value)
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

  #last(count: number): PythonValue[] {
    if (this.#stack.length < count) throw damaged('not a pickle: it takes a value that it has not made')
    return this.#stack.splice(this.#stack.length - count)
  }

  #keep(index: PythonKey): void {
    this.#memo.set(index as number, this.#top())
  }

  #recall(index: PythonKey): void {
    const value = this.#memo.get(index as number)
    if (value === undefined) throw damaged('not a pickle: it recalls a value that it has not kept')
    this.#push(value)
  }
}

function append(items: readonly PythonValue[], list: PythonValue): void {
  if (!Array.isArray(list)) throw damaged('not a pickle: it appends to what is no list')
  for (const item of items) (list as PythonValue[]).push(item)
}

function set(items: readonly PythonValue[], dictionary: PythonValue): void {
  if (!(dictionary instanceof Map)) throw damaged('not a pickle: it sets a key of what is no dictionary')
  fill(dictionary as Map<PythonKey, PythonValue>, items)
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
