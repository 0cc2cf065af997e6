// Owns the message about a record of no known form: the keys that it has, and a `--map` to start from. Shows no values.

import { isEntry } from './problem.js'

const MAX_SHOWN = 24
const MAX_DEPTH = 4

/** The paths of an object's values; lists of objects are entered at their first item. */
export function pathsOf(value: unknown, prefix = '', depth = 0): string[] {
  if (!isEntry(value) || depth > MAX_DEPTH) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`
    if (isEntry(inner)) return pathsOf(inner, path, depth + 1)
    const item: unknown = Array.isArray(inner) ? (inner as unknown[]).find(isEntry) : undefined
    return item === undefined ? [path] : pathsOf(item, `${path}[]`, depth + 1)
  })
}

/** What a path may be called, the surest first. */
const GUESSES: Readonly<Record<'role' | 'text' | 'conversation', readonly RegExp[]>> = {
  role: [
    /(role|speaker|author_?type|sender_?type)$/i,
    /(author|sender|user|from)\.(role|type)$/i,
    /(^|\.)(sender|author|from|user|who|by|direction)$/i,
    /(author|sender|user|from)\.\w+$/i,
    /(^|\.)type$/i,
  ],
  text: [/(^|[._])(text|body|content|message|comment|plain_body|value|msg|utterance|description)$/i],
  conversation: [
    /(conversation|session|thread|ticket|chat|dialog(ue)?|case|channel)[._]?(id|key|number|no|ts)?$/i,
    /(^|[._])(id|key|number)$/i,
  ],
}

function guess(paths: readonly string[], patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const found = paths.find((path) => pattern.test(path))
    if (found !== undefined) return found
  }
  return undefined
}

/** The list that a path goes through, with everything before it; empty without one. */
function listIn(path: string): string {
  return path.slice(0, path.lastIndexOf('[]') + 2).replace(/^.$/, '')
}

/** A path from the innermost item on. */
function within(path: string): string {
  return path.slice(path.lastIndexOf('[].') + 1).replace(/^\]\./, '')
}

/** A map to start from; a `?` is what could not be guessed. */
export function suggestedMap(paths: readonly string[]): string {
  // The messages are in the innermost of lists.
  const deepest = paths.toSorted((a, b) => b.split('[]').length - a.split('[]').length)
  const text = guess(deepest, GUESSES.text)
  const list = listIn(text ?? '')
  const inList = paths.filter((path) => listIn(path) === list && path !== text)
  const role = guess(inList, GUESSES.role)
  const outside =
    list === '' ? inList.filter((path) => path !== role) : deepest.filter((path) => listIn(path) !== list && list.startsWith(listIn(path)))
  const conversation = guess(outside, GUESSES.conversation)
  return [
    ...(conversation === undefined ? [] : [`conversation=${within(conversation)}`]),
    `role=${within(role ?? '?')}`,
    `text=${within(text ?? '?')}`,
    ...(list === '' ? [] : [`items=${list}`]),
  ].join(',')
}

/** The problem of a record of no known form; `explained` are the maps that were suggested before. */
export function unknownForm(record: unknown, explained: Set<string>): string {
  const paths = pathsOf(record)
  const map = suggestedMap(paths)
  if (explained.has(map)) return 'its form is not known'
  explained.add(map)
  const shown = paths.slice(0, MAX_SHOWN).join(', ')
  const more = paths.length > MAX_SHOWN ? `, and ${String(paths.length - MAX_SHOWN)} more` : ''
  return (
    `its form is not known (it has ${shown === '' ? 'no keys' : `${shown}${more}`}); name what is what, for example ` +
    `--map '${map}' --assistant-is NAMES; "gabion transcripts" lists the known forms`
  )
}
