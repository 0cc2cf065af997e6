// Owns `--map`: where an unknown form has conversation, speaker and text, as paths into JSON or names of columns.

import { columnName } from './csv-rows.js'
import { readContent } from './content.js'
import { nameOf } from './conversation-name.js'
import type { Message, Role } from './exchanges.js'
import type { Form, Piece, ReadContext } from './forms/form.js'
import { invalidArgument } from '../options.js'
import { readTime } from './order.js'
import { isEntry, readOrReport, shown, transcriptInvalid } from './problem.js'
import { roleOf, SPEAKER_NAMES } from './speakers.js'

const FIELDS = ['conversation', 'role', 'text', 'user', 'assistant', 'system', 'time', 'items'] as const
type MapField = (typeof FIELDS)[number]

/** Paths by what is found there. */
export type TranscriptMap = Readonly<Partial<Record<MapField, string>>>

/**
 * Reads `conversation=ticket.id,role=author.type,text=body,items=comments[]`; a path with a comma is put in double quotes.
 *
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function parseMap(map: string): TranscriptMap {
  const found: Partial<Record<MapField, string>> = {}
  for (const [, part = ''] of map.matchAll(/((?:"[^"]*"|[^,"])+)/g)) {
    const at = part.indexOf('=')
    const field = part.slice(0, Math.max(0, at)).trim() as MapField
    const path = part
      .slice(at + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1')
    if (!FIELDS.includes(field) || path === '') throw invalidMap(map, `'${part.trim()}' is not one of ${FIELDS.join(', ')} with a path`)
    found[field] = path
  }
  const hasMessages = found.role !== undefined && found.text !== undefined
  if (!hasMessages && (found.user === undefined || found.assistant === undefined)) {
    throw invalidMap(map, 'it must name role and text, or user and assistant')
  }
  return found
}

function invalidMap(map: string, problem: string): Error {
  return invalidArgument('map', `such as 'conversation=ticket.id,role=author.type,text=body,items=comments[]' (${problem})`, map)
}

/** Everything at a path; `[]` in it stands for all items of a list. A key that is the whole path counts before its parts. */
export function valuesAt(value: unknown, path: string): unknown[] {
  if (isEntry(value) && path in value) return [value[path]]
  if (isEntry(value) && columnName(path) in value) return [value[columnName(path)]]
  let found: unknown[] = [value]
  for (const part of path.split('.')) {
    const key = part.replace(/\[\]$/, '')
    const inner = key === '' ? found : found.flatMap((one) => (isEntry(one) && one[key] !== undefined ? [one[key]] : []))
    found = part.endsWith('[]') ? inner.flatMap((one) => (Array.isArray(one) ? (one as unknown[]) : [])) : inner
  }
  return found
}

/** An item with the objects around it, the innermost first. */
type Scopes = readonly unknown[]

/** The items of a record, each with what is around it. */
function itemsOf(record: unknown, path: string): Scopes[] {
  const steps = path.split(/(?<=\[\])\.?/).filter((step) => step !== '')
  let found: Scopes[] = [[record]]
  for (const step of steps) found = found.flatMap((scopes) => valuesAt(scopes[0], step).map((item) => [item, ...scopes]))
  return found
}

function valueIn(scopes: Scopes, path: string): unknown {
  for (const scope of scopes) {
    const found = valuesAt(scope, path).filter((value) => value !== undefined && value !== null)
    if (found.length > 0) return found.length === 1 ? found[0] : found
  }
  return undefined
}

/** The form that a map describes. */
export function mappedForm(map: TranscriptMap): Form {
  return {
    name: 'map',
    title: 'as --map says',
    example: '',
    matches: () => true,
    read: (record, context) => readMapped(map, record, context),
  }
}

function readMapped(map: TranscriptMap, record: unknown, context: ReadContext): Piece[] {
  const { where, onProblem } = context
  if (map.items === undefined) return [piece(map, [record], readItem(map, [record], where, context))]
  const items = itemsOf(record, map.items)
  if (items.length === 0 && !hasEmptyList(record, map.items)) {
    throw transcriptInvalid(where, `there is no list at 'items=${map.items}'`)
  }
  const byName = new Map<string, { scopes: Scopes; messages: Message[] }>()
  for (const [index, scopes] of items.entries()) {
    const read = readOrReport(onProblem, () => readItem(map, scopes, `${where}: item ${String(index + 1)}`, context)) ?? []
    const name = conversationIn(map, scopes) ?? ''
    const group = byName.get(name) ?? { scopes, messages: [] }
    group.messages.push(...read)
    byName.set(name, group)
  }
  return Array.from(byName.values(), ({ scopes, messages }) => piece(map, scopes, messages))
}

function hasEmptyList(record: unknown, path: string): boolean {
  return valuesAt(record, path.replace(/\[\]$/, '')).some(Array.isArray)
}

function conversationIn(map: TranscriptMap, scopes: Scopes): string | null {
  // From the outside in: what an item has under the same name is its own.
  return map.conversation === undefined ? null : nameOf(valueIn(scopes.toReversed(), map.conversation))
}

/** With items and without a conversation's name, the record is the conversation. */
function piece(map: TranscriptMap, scopes: Scopes, messages: readonly Message[]): Piece {
  const conversation = conversationIn(map, scopes)
  if (map.items !== undefined && conversation === null) return { kind: 'whole', conversation, messages }
  return { kind: 'messages', conversation, messages, entryId: null }
}

function readItem(map: TranscriptMap, scopes: Scopes, where: string, { assistants }: ReadContext): Message[] {
  const time = map.time === undefined ? null : readTime(valueIn(scopes, map.time))
  const said = (role: Role, path: string): Message[] => {
    const value = valueIn(scopes, path)
    const text = value === undefined ? '' : readContent(typeof value === 'number' ? String(value) : value, path, where).words
    return text === '' ? [] : [{ role, text, turn: null, ...(time !== null && { time }) }]
  }
  const messages: Message[] = []
  if (map.system !== undefined) messages.push(...said('system', map.system))
  if (map.user !== undefined && map.assistant !== undefined) messages.push(...said('user', map.user), ...said('assistant', map.assistant))
  if (map.role === undefined || map.text === undefined) return messages
  // What has no words, such as the closing of a ticket, needs no speaker.
  const words = said('user', map.text)
  if (words.length === 0) return messages
  const speaker = valueIn(scopes, map.role)
  const role = roleOf(speaker, assistants)
  if (role === undefined) {
    throw transcriptInvalid(
      where,
      `'${map.role}' must be one of ${SPEAKER_NAMES.join(', ')} (--assistant-is names others), got ${shown(speaker)}`,
    )
  }
  return [...messages, ...words.map((message) => ({ ...message, role }))]
}
