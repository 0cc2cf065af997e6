// Owns the options of reading transcripts, and their checks.

import { checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'
import { CONTAINERS, formNamed, FORMS, type Container } from './forms/index.js'
import type { Form, ReadContext } from './forms/form.js'
import { mappedForm, parseMap } from './map.js'
import type { OnProblem } from './problem.js'
import { assistantNames } from './speakers.js'

/** Options of reading transcripts. */
export interface TranscriptOptions {
  /** A form of `TRANSCRIPT_FORMATS`, or a kind of file (`json`, `jsonl`, `csv`); by default both are found by looking. */
  format?: string
  /** Paths into an unknown form, such as `conversation=ticket.id,role=author.type,text=body,items=comments[]`. */
  map?: string
  /** Names that the assistant has in this transcript; all others but `system` and `tool` are then the user's. */
  assistantIs?: readonly string[]
  /** The only field that tells conversations apart. */
  conversationField?: string
  /** Also reads the branches of chats that were not shown last. */
  allBranches?: boolean
  /** Gets what cannot be read, with file, line and field; the rest is read on. By default it is thrown. */
  onProblem?: OnProblem
  /** Gets remarks about how the input was read. */
  onNote?: (note: string) => void
}

/** The names of the known forms and kinds of files. */
export const TRANSCRIPT_FORMATS: readonly string[] = [...FORMS.map(({ name }) => name), ...CONTAINERS]

/** Checked options. */
export interface ReadOptions extends Omit<ReadContext, 'where'> {
  /** The only form that is read; null where it is found by looking. */
  readonly form: Form | null
  readonly container: Container | null
  readonly onNote: (note: string) => void
  /** Maps that were suggested for unknown forms. */
  readonly explained: Set<string>
}

const NAMES = ['format', 'map', 'assistantIs', 'conversationField', 'allBranches', 'onProblem', 'onNote'] as const

/**
 * Checks options by name.
 *
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function readOptions(options: TranscriptOptions | undefined): ReadOptions {
  const { format, map, assistantIs, conversationField, allBranches, onProblem, onNote } = checkOptions('options', options, NAMES)
  if (format !== undefined) checkOneOf('format', format, TRANSCRIPT_FORMATS)
  const form = format === undefined ? undefined : formNamed(format)
  if (map !== undefined && form !== undefined) throw invalidArgument('map', 'given without a form in format', format)
  if (assistantIs !== undefined && !(Array.isArray(assistantIs) && assistantIs.every((name) => typeof name === 'string'))) {
    throw invalidArgument('assistantIs', 'a list of names', assistantIs)
  }
  return {
    form: map === undefined ? (form ?? null) : mappedForm(parseMap(checkString('map', map))),
    container: CONTAINERS.find((name) => name === format) ?? null,
    assistants: assistantIs === undefined ? null : assistantNames(assistantIs),
    conversationField: conversationField === undefined ? null : checkString('conversationField', conversationField),
    allBranches: allBranches === true,
    onProblem: onProblem ?? thrown,
    onNote: onNote ?? (() => undefined),
    explained: new Set(),
  }
}

function thrown(problem: Error): never {
  throw problem
}
