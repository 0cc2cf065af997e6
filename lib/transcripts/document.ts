// Owns JSON documents: their records, through the lists and wrappers that exports put around them.

import { conversationOf } from './conversation-name.js'
import { formOf } from './forms/index.js'
import { isMessageList } from './forms/lists.js'
import type { ReadOptions } from './options.js'
import { isEntry, parseJson, readJson, transcriptInvalid } from './problem.js'

/** A parsed record and where it is. */
export interface SourceRecord {
  readonly value: unknown
  /** File and line or entry. */
  readonly where: string
  /** Names its conversation where the record does not. */
  readonly fallback: string
}

/** A file's name for messages, and the one for its conversations. */
export interface SourceName {
  readonly name: string
  readonly base: string
}

/**
 * The records of a JSON document, or of several in a row.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with the line, where it is not JSON
 */
export function documentRecords(text: string, { name, base }: SourceName, options: ReadOptions): SourceRecord[] {
  try {
    return recordsIn(readJson(text), { name, base }, options)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    const values = valuesInARow(text)
    if (values === null) throw transcriptInvalid(`${name}${lineOf(cause, text)}`, `it is not JSON: ${cause.message}`, cause)
    return values.map((value, index) => itemRecord(value, index, { name, base }))
  }
}

function lineOf(error: Error, text: string): string {
  const position = /position (\d+)/.exec(error.message)?.[1]
  return position === undefined ? '' : `: line ${String(text.slice(0, Number(position)).split('\n').length)}`
}

/** Several documents after each other, as jq prints them; null if a line does not begin one where one has ended. */
function valuesInARow(text: string): unknown[] | null {
  const values: unknown[] = []
  for (const part of text.split(/(?<=^[}\]])[ \t]*\r?\n(?=[[{])/m)) {
    try {
      values.push(parseJson(part, ''))
    } catch {
      return null
    }
  }
  return values.length > 1 ? values : null
}

function recordsIn(root: unknown, source: SourceName, options: ReadOptions): SourceRecord[] {
  const whole: SourceRecord = { value: root, where: source.name, fallback: source.base }
  if (Array.isArray(root)) return isOneConversation(root, options) ? [whole] : items(root as unknown[], source)
  // A map begins at the root; a form that is asked for may still be wrapped.
  if (!isEntry(root) || options.form?.name === 'map' || (options.form ?? formOf(root))?.matches(root) === true) return [whole]
  const list = Object.values(root).find(
    (value): value is unknown[] => Array.isArray(value) && value.some((item) => formOf(item) !== undefined),
  )
  if (list === undefined) return [whole]
  return isOneConversation(list, options) ? [{ ...whole, value: { ...root, turns: list } }] : items(list, source)
}

/** Whether a list's items are the messages of one conversation: they name none. */
function isOneConversation(list: readonly unknown[], { form, conversationField }: ReadOptions): boolean {
  if (form?.name === 'map') return false
  if (!isMessageList(list)) return false
  return list.every((item) => !isEntry(item) || (isLine(item) && conversationOf(item, conversationField) === null))
}

function isLine(item: unknown): boolean {
  const form = formOf(item)
  return form === undefined || form.name === 'message-lines' || form.name === 'exchange-lines'
}

function items(list: readonly unknown[], source: SourceName): SourceRecord[] {
  return list.map((value, index) => itemRecord(value, index, source))
}

function itemRecord(value: unknown, index: number, { name, base }: SourceName): SourceRecord {
  const number = String(index + 1)
  return { value, where: `${name}: ${isLine(value) ? 'entry' : 'conversation'} ${number}`, fallback: `${base}:${number}` }
}
