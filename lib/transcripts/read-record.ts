// Owns the way from a record to what is said in it: its form is found, or the one asked for is applied.

import type { SourceRecord } from './document.js'
import { formOf } from './forms/index.js'
import type { Piece } from './forms/form.js'
import type { ReadOptions } from './options.js'
import { isEntry, readOrReport, shown, transcriptInvalid } from './problem.js'
import { unknownForm } from './unknown-form.js'

/** What a record says; nothing, after reporting it, where it cannot be read. */
export function readRecord({ value, where }: SourceRecord, options: ReadOptions): Piece[] {
  const read = (): Piece[] => {
    const form = options.form ?? formOf(value)
    if (form !== undefined) return form.read(value, { ...options, where })
    if (isEntry(value)) throw transcriptInvalid(where, unknownForm(value, options.explained))
    // An empty list is a conversation without messages.
    if (Array.isArray(value) && value.length === 0) return [{ kind: 'whole', conversation: null, messages: [] }]
    throw transcriptInvalid(where, `a conversation must be an object or a list of messages, got ${shown(value)}`)
  }
  return readOrReport(options.onProblem, read) ?? []
}
