// Lua scripts that Redis runs atomically: saving an exchange, deleting a conversation. A crash cannot leave half of one.

import { Script } from './connection.js'

/** Alerts that are listed, and that wait for delivery; beyond, the oldest go. */
const MAX_ALERTS = 10_000

/**
 * Function `save` for scripts: saves a record if the conversation is at the expected revision, with the alert that it raised, and publishes
 * the change. Expects the keys `conversation` and `recent`, and the list `a` of id, expected revision, new revision, record, status, change,
 * ttl, now, channel, root of all names, alert (empty for none), its exchange, caller, tenant (empty for none).
 */
export const SAVE = `
local function save(conversation, recent, a)
  local revision = redis.call('HGET', conversation, 'revision') or ''
  if revision ~= a[2] then return 0 end
  redis.call('HSET', conversation, 'revision', a[3], 'record', a[4], 'status', a[5])
  redis.call('PEXPIRE', conversation, a[7])
  local function index(key)
    redis.call('ZADD', key, a[8], a[1])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', a[8] - a[7])
    redis.call('PEXPIRE', key, a[7])
  end
  index(recent)
  for i, kind in ipairs({'caller', 'tenant'}) do
    local name = a[12 + i] or ''
    if name ~= '' then
      redis.call('HSET', conversation, kind, name)
      index(a[10] .. kind .. ':' .. name)
    end
  end
  local outbox = a[10] .. 'outbox'
  for _, key in ipairs({a[10] .. 'alerts', a[10] .. 'open-alerts'}) do
    if a[11] ~= '' then
      redis.call('ZADD', key, a[8], a[12] .. ' ' .. a[1])
      redis.call('ZREMRANGEBYRANK', key, 0, -${MAX_ALERTS + 1})
    end
    redis.call('PEXPIRE', key, a[7])
  end
  if a[11] ~= '' then
    redis.call('HSET', conversation, 'alert:' .. a[12], a[11])
    redis.call('XADD', outbox, 'MAXLEN', '~', ${MAX_ALERTS}, '*', 'conversation', a[1], 'alert', a[11])
  end
  redis.call('PUBLISH', a[9], a[6])
  return 1
end
`

/** Keys: conversation, recent. Arguments: see {@link SAVE}. Returns 1 when saved. */
export const SAVE_RECORD = new Script(`${SAVE}\nreturn save(KEYS[1], KEYS[2], ARGV)`)

/** Keys: conversation, recent. Arguments: id, change, channel, root of all names. Returns 1 if the conversation existed. */
export const FORGET = new Script(`
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local exchange = string.match(field, '^alert:(%d+)$')
  if exchange then
    redis.call('ZREM', ARGV[4] .. 'alerts', exchange .. ' ' .. ARGV[1])
    redis.call('ZREM', ARGV[4] .. 'open-alerts', exchange .. ' ' .. ARGV[1])
  end
end
for _, kind in ipairs({'caller', 'tenant'}) do
  local name = redis.call('HGET', KEYS[1], kind)
  if name then redis.call('ZREM', ARGV[4] .. kind .. ':' .. name, ARGV[1]) end
end
local existed = redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if existed == 1 then redis.call('PUBLISH', ARGV[3], ARGV[2]) end
return existed
`)

/**
 * Acknowledges an entry for a group, and deletes it when no group has still to read or to acknowledge it. Keys: stream. Arguments: group,
 * entry.
 */
export const ACKNOWLEDGE_ENTRY = new Script(`
local function parts(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
local ms, sequence = parts(ARGV[2])
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  local seen_ms, seen_sequence = parts(facts['last-delivered-id'])
  local seen = seen_ms > ms or (seen_ms == ms and seen_sequence >= sequence)
  if not seen or #redis.call('XPENDING', KEYS[1], facts['name'], ARGV[2], ARGV[2], 1) > 0 then return 0 end
end
return redis.call('XDEL', KEYS[1], ARGV[2])
`)

/**
 * Deletes the entries of conversations from a part of a stream that others read. Keys: stream. Arguments: first entry, number of entries to
 * look at, conversations. Returns where to go on; empty at the end.
 */
export const PURGE = new Script(`
local wanted = {}
for i = 3, #ARGV do wanted[ARGV[i]] = true end
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'conversation' and wanted[entry[2][i + 1]] then redis.call('XDEL', KEYS[1], entry[1]) end
  end
end
if #entries < tonumber(ARGV[2]) then return '' end
return '(' .. entries[#entries][1]
`)

/** Keys: recent. Arguments: limit, conversation prefix. Returns the statuses of the most recent conversations. */
export const LIST = new Script(`
local statuses = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  local status = redis.call('HGET', ARGV[2] .. id, 'status')
  if status then statuses[#statuses + 1] = status end
end
return statuses
`)

/**
 * Keys: alerts, open alerts, the one of both to list. Arguments: limit, offset, conversation prefix. Returns total, number of open ones, and
 * the newest alerts as pairs: alert, acknowledgement (empty for none). Those of expired conversations are removed on the way.
 */
export const LIST_ALERTS = new Script(`
local function fields(member)
  local exchange, id = string.match(member, '^(%d+) (.*)$')
  return redis.call('HMGET', ARGV[3] .. id, 'alert:' .. exchange, 'ack:' .. exchange)
end
local function drop(member)
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
while true do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  if not oldest or fields(oldest)[1] then break end
  drop(oldest)
end
local found = {}
for _, member in ipairs(redis.call('ZREVRANGE', KEYS[3], ARGV[2], ARGV[2] + ARGV[1] - 1)) do
  local both = fields(member)
  if both[1] then
    found[#found + 1] = both[1]
    found[#found + 1] = both[2] or ''
  else
    drop(member)
  end
end
return {redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), found}
`)

/**
 * Keys: conversation, open alerts. Arguments: exchange, acknowledgement, member of the open alerts, channel, change. Returns the
 * acknowledgement in force, nil if there is no such alert.
 */
export const ACKNOWLEDGE = new Script(`
if redis.call('HEXISTS', KEYS[1], 'alert:' .. ARGV[1]) == 0 then return false end
if redis.call('HSETNX', KEYS[1], 'ack:' .. ARGV[1], ARGV[2]) == 1 then
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return redis.call('HGET', KEYS[1], 'ack:' .. ARGV[1])
`)

/**
 * Takes entries for a consumer and records their order per conversation, so that they are judged in it by any consumer.
 * Keys: exchanges. Arguments: group, consumer, maximum of entries, order prefix, TTL of the order. Returns entries as XREADGROUP does.
 */
export const TAKE = new Script(`
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
if not reply then return {} end
local entries = reply[1][2]
for _, entry in ipairs(entries) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'conversation' then
      local order = ARGV[4] .. entry[2][i + 1]
      redis.call('RPUSH', order, entry[1])
      redis.call('PEXPIRE', order, ARGV[5])
      break
    end
  end
end
return entries
`)

/** Function `state` for scripts: an entry is due to be judged (`DUE`), waits for an earlier one (`WAIT`), or is settled (`GONE`). */
const STATE = `
local function state(stream, order, group, id)
  if #redis.call('XPENDING', stream, group, id, id, 1) == 0 then return 'GONE' end
  while true do
    local first = redis.call('LINDEX', order, 0)
    if not first or first == id then return 'DUE' end
    if #redis.call('XPENDING', stream, group, first, first, 1) > 0 then return 'WAIT' end
    redis.call('LPOP', order)
  end
end
`

/** Keys: exchanges, order. Arguments: group, entry. Returns its state. */
export const ENTRY_STATE = new Script(`${STATE}\nreturn state(KEYS[1], KEYS[2], ARGV[1], ARGV[2])`)

const FINISH = `
local function finish(stream, order, verdicts, group, id, max_verdicts, verdict)
  redis.call('XADD', verdicts, 'MAXLEN', '~', max_verdicts, '*', unpack(verdict))
  redis.call('XACK', stream, group, id)
  redis.call('LREM', order, 1, id)
end
`

/**
 * Saves a judged entry's conversation, writes its verdict and acknowledges it, atomically.
 * Keys: conversation, recent, exchanges, order, verdicts. Arguments: group, entry, maximum of verdicts, verdict as JSON, then those of
 * {@link SAVE}. Returns `DONE`, `STALE` when the conversation has another revision, else as {@link ENTRY_STATE}.
 */
export const COMMIT_ENTRY = new Script(`${SAVE}${STATE}${FINISH}
local current = state(KEYS[3], KEYS[4], ARGV[1], ARGV[2])
if current ~= 'DUE' then return current end
local a = {}
for i = 5, #ARGV do a[i - 4] = ARGV[i] end
if save(KEYS[1], KEYS[2], a) == 0 then return 'STALE' end
finish(KEYS[3], KEYS[4], KEYS[5], ARGV[1], ARGV[2], ARGV[3], {'entry', ARGV[2], 'conversation', a[1], 'verdict', ARGV[4]})
return 'DONE'
`)

/**
 * Writes the outcome of an entry that changes no conversation (judged before, or refused) and acknowledges it.
 * Keys: exchanges, order, verdicts. Arguments: group, entry, maximum of verdicts, conversation, field name, its value.
 */
export const SETTLE_ENTRY = new Script(`${FINISH}
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 'GONE' end
finish(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3], {'entry', ARGV[2], 'conversation', ARGV[4], ARGV[5], ARGV[6]})
return 'DONE'
`)
