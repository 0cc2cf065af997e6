// The steps that Redis carries out as one: saving a turn, forgetting a conversation. A crash comes before or after, never between.

import { Script } from './connection.js'

/**
 * Saves a record if the conversation is at the expected revision, and tells the others. As a part of scripts: expects `conversation`
 * and `recent` as keys and the list `a` of id, expected revision, new revision, record, brief, change, ttl, now, channel.
 */
export const SAVE = `
local function save(conversation, recent, a)
  local revision = redis.call('HGET', conversation, 'revision') or ''
  if revision ~= a[2] then return 0 end
  redis.call('HSET', conversation, 'revision', a[3], 'record', a[4], 'brief', a[5])
  redis.call('PEXPIRE', conversation, a[7])
  redis.call('ZADD', recent, a[8], a[1])
  redis.call('ZREMRANGEBYSCORE', recent, '-inf', a[8] - a[7])
  redis.call('PUBLISH', a[9], a[6])
  return 1
end
`

/** Keys: conversation, recent. Arguments: see {@link SAVE}. 1 when saved. */
export const SAVE_TURN = new Script(`${SAVE}\nreturn save(KEYS[1], KEYS[2], ARGV)`)

/** Keys: conversation, recent. Arguments: id, change, channel. 1 when there was one. */
export const FORGET = new Script(`
local there = redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if there == 1 then redis.call('PUBLISH', ARGV[3], ARGV[2]) end
return there
`)

/** Keys: recent. Arguments: limit, conversation prefix. The briefs of the most recent conversations. */
export const LIST = new Script(`
local briefs = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  local brief = redis.call('HGET', ARGV[2] .. id, 'brief')
  if brief then briefs[#briefs + 1] = brief end
end
return briefs
`)
