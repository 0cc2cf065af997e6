// Checks of arguments and options. Every message names the option, the expected and the actual value.

import { wrongRange, wrongType, type GabionError } from './errors.js'

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return value.length > 60 ? `a string of ${String(value.length)} characters` : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'undefined') return String(value)
  if (typeof value === 'bigint') return `${String(value)}n`
  if (Array.isArray(value)) return `an array of ${String(value.length)}`
  if (typeof value === 'object') return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`
  return `a ${typeof value}`
}

/** The error for an argument of the wrong kind, with its name, the expected and the actual value. */
export function invalidArgument(name: string, expected: string, actual: unknown): GabionError {
  return wrongType(`${name} must be ${expected}, got ${describe(actual)}`)
}

/** The same for an argument of the right kind with an impossible value. */
export function outOfRange(name: string, expected: string, actual: unknown): GabionError {
  return wrongRange(`${name} must be ${expected}, got ${describe(actual)}`)
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidArgument(name, 'a string', value)
  return value
}

export function checkInteger(name: string, value: unknown, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of ${String(minimum)} or more` : `from ${String(minimum)} to ${String(maximum)}`
    throw (typeof value === 'number' ? outOfRange : invalidArgument)(name, `an integer ${range}`, value)
  }
  return value
}

export function checkNumber(name: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidArgument(name, 'a finite number', value)
  if (!Number.isFinite(value)) throw outOfRange(name, 'a finite number', value)
  return value
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidArgument(name, 'a boolean', value)
  return value
}

export function checkOneOf<const T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  if (typeof value !== 'string' || !(allowed as readonly string[]).includes(value)) {
    throw (typeof value === 'string' ? outOfRange : invalidArgument)(name, `one of ${allowed.map((item) => `'${item}'`).join(', ')}`, value)
  }
  return value as T
}

export function checkFunction<T>(name: string, value: T): T {
  if (typeof value !== 'function') throw invalidArgument(name, 'a function', value)
  return value
}

export function checkSignal(name: string, value: unknown): AbortSignal {
  // By its shape: a signal of another realm is one too.
  const given = value as Partial<AbortSignal> | null | undefined
  if (typeof given?.aborted !== 'boolean' || typeof given.addEventListener !== 'function')
    throw invalidArgument(name, 'an AbortSignal', value)
  return value as AbortSignal
}

/**
 * Checks an options object: it must be a plain object (or undefined) with known keys only, so that a misspelled
 * option is an error and not a silent default.
 */
export function checkOptions<T extends object>(name: string, value: T | undefined, keys: readonly (keyof T & string)[]): Partial<T> {
  if (value === undefined) return {}
  const given: unknown = value
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalidArgument(name, 'an object', given)
  for (const key of Object.keys(value)) {
    if (!(keys as readonly string[]).includes(key)) {
      throw wrongType(`${name} has no option '${key}'; known options: ${keys.join(', ')}`)
    }
  }
  return value
}
