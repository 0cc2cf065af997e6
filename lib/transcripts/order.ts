// Owns the order of messages: by their numbers or times, where all have one. Knows no form.

import type { Message } from './exchanges.js'
import { firstField, type Entry } from './problem.js'

const TIME_FIELDS = [
  'timestamp',
  'created_at',
  'createdAt',
  'create_time',
  'createTime',
  'start_time',
  'startTime',
  'request_created_at',
  'ts',
  'time',
  'date',
] as const

/** From here on a number counts milliseconds, below it seconds: the year 5138 or March 1973. */
const FIRST_MILLISECONDS = 1e11

/**
 * The time of an entry in milliseconds: a number, or an ISO date. Dates such as 03/04/2026 mean different days in different countries and
 * count as none.
 */
export function timeOf(entry: Entry): number | null {
  const field = firstField(entry, TIME_FIELDS)
  return field === undefined ? null : readTime(entry[field])
}

/** Reads a time as {@link timeOf} does. */
export function readTime(value: unknown): number | null {
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value)) {
    const time = Date.parse(value)
    return Number.isNaN(time) ? null : time
  }
  if (typeof value !== 'number' && (typeof value !== 'string' || !/^\d+(\.\d+)?$/.test(value))) return null
  const number = Number(value)
  return number < FIRST_MILLISECONDS ? number * 1000 : number
}

/** Messages in order, and what was done for it. */
export interface Ordered<Item> {
  readonly items: readonly Item[]
  readonly note: string | null
}

/**
 * Sorts messages by turn number, or else by time, stably. A transcript with messages that have neither is left unchanged, since the
 * numbers of the others do not define an order.
 */
export function inOrder(messages: readonly Message[]): Ordered<Message> {
  // The system prompt of a request has neither, and comes first.
  const first = messages.findIndex(({ role, turn, time }) => role !== 'system' || turn !== null || time !== undefined)
  const rest = messages.slice(Math.max(0, first))
  const { items, note } = rest.every(({ turn }) => turn !== null)
    ? sorted(rest, ({ turn }) => turn as number, 'turn numbers')
    : inTimeOrder(rest, ({ time }) => time ?? null)
  return { items: note === null ? messages : [...messages.slice(0, first), ...items], note }
}

/** Sorts by time, stably. Newest first, as services list messages, is turned around, so that those of the same time are too. */
export function inTimeOrder<Item>(items: readonly Item[], timeOfItem: (item: Item) => number | null): Ordered<Item> {
  const times = items.map(timeOfItem)
  if (times.some((time) => time === null)) return { items, note: null }
  const known = times as number[]
  const falls = known.every((time, index) => index === 0 || time <= (known[index - 1] as number))
  if (falls && known.length > 1 && (known[0] as number) > (known.at(-1) as number)) {
    return { items: items.toReversed(), note: 'messages were newest first and were turned around' }
  }
  return sorted(items, timeOfItem as (item: Item) => number, 'times')
}

function sorted<Item>(items: readonly Item[], keyOf: (item: Item) => number, what: string): Ordered<Item> {
  const moved = items.some((item, index) => index > 0 && keyOf(item) < keyOf(items[index - 1] as Item))
  if (!moved) return { items, note: null }
  return { items: items.toSorted((a, b) => keyOf(a) - keyOf(b)), note: `messages were not in the order of their ${what} and were sorted` }
}
