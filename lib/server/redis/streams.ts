// Removes the entries of a conversation from streams that others read.

import type { RedisConnection } from './connection.js'

// A long command blocks Redis for all clients.
const CHUNK = 1000

/** Deletes the entries whose field `conversation` is this one. */
export async function removeEntriesOf(redis: RedisConnection, stream: string, conversation: string): Promise<void> {
  let from = '-'
  for (;;) {
    const entries = (await redis.command('XRANGE', stream, from, '+', 'COUNT', String(CHUNK))) as [string, string[]][]
    const found = entries.filter(([, fields]) =>
      fields.some((name, at) => at % 2 === 0 && name === 'conversation' && fields[at + 1] === conversation),
    )
    if (found.length > 0) await redis.command('XDEL', stream, ...found.map(([id]) => id))
    const last = entries.at(-1)
    if (last === undefined || entries.length < CHUNK) return
    from = `(${last[0]}`
  }
}
