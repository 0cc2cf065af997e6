// Owns what a transcript's readers say about input that they cannot read. A value is shown by its kind only: transcripts may be private.

import { GabionError, isGabionError } from '../errors.js'

/** An object of parsed JSON or a record of a CSV file. */
export type Entry = Readonly<Record<string, unknown>>

/** Gets each problem of the input; the rest is read on, unless it throws. */
export type OnProblem = (problem: GabionError) => void

/** The error for a transcript; `where` is file, line and entry. */
export function transcriptInvalid(where: string, problem: string, cause?: unknown): GabionError {
  return new GabionError('TRANSCRIPT_INVALID', `${where}: ${problem}`, cause === undefined ? {} : { cause })
}

/** The result of `read`; undefined where the input is invalid, after reporting it. */
export function readOrReport<T>(onProblem: OnProblem, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!isGabionError(error) || error.code !== 'TRANSCRIPT_INVALID') throw error
    onProblem(error)
    return undefined
  }
}

/** Parses JSON; `where` is file and line. */
export function parseJson(text: string, where: string): unknown {
  try {
    return readJson(text)
  } catch (cause) {
    throw transcriptInvalid(where, `it is not JSON: ${(cause as Error).message}`, cause)
  }
}

const LONG_INTEGER = /(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g

/**
 * Parses JSON. Integers that a number cannot hold, as some services have for ids, become strings: two conversations would be one.
 *
 * @throws SyntaxError
 */
export function readJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return /\d{16}/.test(text) ? (JSON.parse(withExactIntegers(text)) as unknown) : value
}

/** Valid JSON with such integers in quotes. */
function withExactIntegers(text: string): string {
  const parts: string[] = []
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at)
    const between = text.slice(at, quote === -1 ? text.length : quote)
    parts.push(between.replace(LONG_INTEGER, (integer) => (Number.isSafeInteger(Number(integer)) ? integer : `"${integer}"`)))
    if (quote === -1) break
    at = endOfString(text, quote)
    parts.push(text.slice(quote, at))
  }
  return parts.join('')
}

/** Behind the string that begins at a quote. A regular expression would need a stack as long as the string. */
function endOfString(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text[end - 1 - escapes] === '\\') escapes++
    if (escapes % 2 === 0) return end + 1
  }
}

/** True for an object that is not an array. */
export function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function present(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** The first of the fields that an entry has a value for. */
export function firstField<Name extends string>(entry: Entry, names: readonly Name[]): Name | undefined {
  return names.find((name) => present(entry[name]))
}

/** A value in an error: only its kind, or a short string. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 30 ? `a string of ${String(value.length)} characters` : JSON.stringify(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
