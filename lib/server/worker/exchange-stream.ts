// Owns the stream of exchanges as one consumer of a group sees it: take, wait for one's place, commit, claim from the dead.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { checkId, type ConversationRecord } from '../conversations/record.js'
import type { RedisStore } from '../conversations/redis-store.js'
import type { ExchangeRequest } from '../conversations/judge-exchange.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from '../redis/keys.js'
import { ASK_PLACE, COMMIT_ENTRY, SETTLE_ENTRY, TAKE } from '../redis/scripts.js'

/** An entry of the stream, not yet looked at. */
export interface StreamEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

/** What may become of an entry. */
export type Place = 'DUE' | 'WAIT' | 'GONE'

/** Settings of an {@link ExchangeStream}. */
export interface ExchangeStreamOptions {
  readonly redis: RedisConnection
  /** A connection of its own for waiting. */
  readonly waiting: RedisConnection
  readonly store: RedisStore
  readonly keys: Keys
  readonly group: string
  readonly consumer: string
  /** Verdicts that are kept in their stream, about. */
  readonly maxVerdicts: number
}

// Notes of the order outlive every restart; entries that are gone are skipped in them.
const ORDER_TTL_MS = 7 * 24 * 3_600_000

/** A consumer's view. */
export class ExchangeStream {
  readonly #options: ExchangeStreamOptions
  // Behind this entry XREAD waits for more.
  #seen = '0'

  constructor(options: ExchangeStreamOptions) {
    this.#options = options
  }

  /** Makes stream and group where they are not there; exchanges written before that are judged too. */
  async prepare(): Promise<void> {
    const { redis, keys, group } = this.#options
    try {
      await redis.command('XGROUP', 'CREATE', keys.exchanges, group, '0', 'MKSTREAM')
    } catch (error) {
      if (!(error as Error).message.includes('BUSYGROUP')) throw error
    }
    this.#seen = (await this.#group())?.['last-delivered-id'] ?? '0'
  }

  /** At most so many new entries; none where there are none. */
  async take(most: number): Promise<StreamEntry[]> {
    const { redis, keys, group, consumer } = this.#options
    const entries = asEntries(await redis.run(TAKE, [keys.exchanges], [group, consumer, most, keys.orderPrefix, ORDER_TTL_MS]))
    const last = entries.at(-1)
    if (last !== undefined) this.#seen = last.id
    return entries
  }

  /** Resolves when something new may be there, or after a while. */
  async waitForMore(milliseconds: number): Promise<void> {
    const { waiting, keys } = this.#options
    const reply = (await waiting.command('XREAD', 'COUNT', '1', 'BLOCK', String(milliseconds), 'STREAMS', keys.exchanges, this.#seen)) as
      [string, [string, string[]][]][] | null
    // Another consumer may have it already; next time it is not news.
    const [entry] = reply?.[0]?.[1] ?? []
    if (entry !== undefined) this.#seen = entry[0]
  }

  /** Entries whose consumers have done nothing for so long, now this one's. */
  async claim(idleMs: number, most: number): Promise<StreamEntry[]> {
    const { redis, keys, group, consumer } = this.#options
    const args = ['XAUTOCLAIM', keys.exchanges, group, consumer, String(idleMs), '0', 'COUNT', String(most)]
    const [, entries] = (await redis.command(...args)) as [string, unknown]
    return asEntries(entries)
  }

  async place(entry: StreamEntry): Promise<Place> {
    const { redis, keys, group } = this.#options
    return (await redis.run(ASK_PLACE, [keys.exchanges, this.#order(entry)], [group, entry.id])) as Place
  }

  /** Saves, tells the verdict and acknowledges, as one step. */
  async commit(entry: StreamEntry, record: ConversationRecord, revision: string | null): Promise<'DONE' | 'STALE' | Place> {
    const { redis, store, keys, group, maxVerdicts } = this.#options
    const { conversation } = record.status
    const names = [keys.conversation(conversation), keys.recent, keys.exchanges, this.#order(entry), keys.verdicts]
    const verdict = JSON.stringify(record.verdicts.at(-1))
    const args = [group, entry.id, maxVerdicts, verdict, ...store.saveArguments(conversation, record, revision)]
    return (await redis.run(COMMIT_ENTRY, names, args)) as 'DONE' | 'STALE' | Place
  }

  /** Tells what became of an entry that changes nothing, and acknowledges it. */
  async settle(entry: StreamEntry, outcome: { verdict: ExchangeVerdict } | { error: GabionError }): Promise<void> {
    const { redis, keys, group, maxVerdicts } = this.#options
    const told =
      'verdict' in outcome
        ? ['verdict', JSON.stringify(outcome.verdict)]
        : ['error', JSON.stringify({ code: outcome.error.code, message: outcome.error.message })]
    const args = [group, entry.id, maxVerdicts, entry.fields.conversation ?? '', ...told]
    await redis.run(SETTLE_ENTRY, [keys.exchanges, this.#order(entry), keys.verdicts], args)
  }

  /** Entries not yet given to anybody, and given and not yet done. */
  async lag(): Promise<{ waiting: number; pending: number }> {
    const group = await this.#group()
    return { waiting: Number(group?.lag ?? 0), pending: Number(group?.pending ?? 0) }
  }

  /** A consumer that ends well leaves the group; one with entries stays, so that others can claim them. */
  async leave(): Promise<void> {
    const { redis, keys, group, consumer } = this.#options
    const pending = (await redis.command('XPENDING', keys.exchanges, group, '-', '+', '1', consumer)) as unknown[]
    if (pending.length === 0) await redis.command('XGROUP', 'DELCONSUMER', keys.exchanges, group, consumer)
  }

  async #group(): Promise<Record<string, string> | undefined> {
    const { redis, keys, group } = this.#options
    const groups = (await redis.command('XINFO', 'GROUPS', keys.exchanges)) as unknown[][]
    return groups.map(asFields).find(({ name }) => name === group)
  }

  #order({ fields }: StreamEntry): string {
    return `${this.#options.keys.orderPrefix}${fields.conversation ?? ''}`
  }
}

/**
 * The exchange that an entry asks for; without an id of its own it has the entry's.
 *
 * @throws GabionError `INVALID_ARGUMENT` naming the field
 */
export function readRequest({ id, fields }: StreamEntry): ExchangeRequest {
  const { conversation, user, assistant, exchangeId = id } = fields
  if (conversation === undefined || user === undefined || assistant === undefined) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `an entry must have the fields conversation, user and assistant, got ${Object.keys(fields).join(', ')}`,
    )
  }
  return {
    conversation: checkId('conversation', conversation),
    user,
    assistant,
    exchangeId: checkId('exchangeId', exchangeId),
    exchange: null,
  }
}

function asEntries(reply: unknown): StreamEntry[] {
  // A claimed entry that was deleted from the stream comes without fields.
  return (reply as ([string, string[] | null] | null)[]).flatMap((entry) => {
    const fields = entry?.[1] ?? null
    return entry === null || fields === null ? [] : [{ id: entry[0], fields: asFields(fields) }]
  })
}

function asFields(list: readonly unknown[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let i = 0; i + 1 < list.length; i += 2) fields[String(list[i])] = String(list[i + 1])
  return fields
}
