// Owns what the commands that run long have in common: flags of detector and store, the log, opening them.

import { InvalidArgumentError, Option, type Command } from 'commander'
import { pino, type Logger } from 'pino'
import type { Embedder } from '../embedding/embedder.js'
import { DEFAULT_DETECTOR, DETECTORS, Monitor, type DetectorName } from '../monitor/monitor.js'
import type { ApiKeys } from '../server/api-keys.js'
import type { ConversationStore } from '../server/conversations/store.js'
import { addEmbedderOptions, openEmbedder, parseCount, type Context, type EmbedderFlags } from './command.js'

/** Flags of `serve`, `worker` and `proxy`. */
export interface ServerFlags extends EmbedderFlags {
  detector?: DetectorName
  artifact?: string
  cacheMib?: number
  redis?: string
  redisPrefix: string
  ttlHours: number
  logLevel: string
}

/** Adds the flags. */
export function addServerOptions(command: Command): Command {
  return addEmbedderOptions(command)
    .addOption(new Option('-d, --detector <name>', 'which detector judges').choices(DETECTORS).default(DEFAULT_DETECTOR))
    .option('--artifact <file>', 'erosion: a detector made by "gabion detector train" or "calibrate" (default: the bundled one)')
    .option('--cache-mib <n>', 'vector cache in MiB, 0 for none (default: 32)', parseNumber)
    .option('--redis <url>', 'keep conversations in Redis or Valkey (redis://[:password@]host:port/db, rediss:// with TLS)')
    .option('--redis-prefix <name>', 'what the names of all keys there begin with', 'gabion')
    .option('--ttl-hours <n>', 'forget a conversation so long after its last exchange', parseCount, 24)
    .addOption(
      new Option('--log-level <level>', 'least level of the log on stderr (JSON lines, never with texts)')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
}

/** What `serve`, `proxy` and `worker` open before they do what is their own. */
export interface ServerParts {
  readonly logger: Logger
  readonly embedder: Embedder
  readonly monitor: Monitor
}

/**
 * Opens log, model and monitor, starts what `start` starts with them, and at the first signal ends it in order.
 *
 * @param start - says that it is ready, and returns how it ends
 */
export async function runUntilInterrupted(
  { output, signal }: Context,
  flags: ServerFlags,
  start: (parts: ServerParts) => Promise<() => Promise<void>>,
): Promise<void> {
  const logger = openLog(flags)
  using embedder = await openEmbedder(flags, { ...cacheOf(flags), signal })
  const stop = await start({ logger, embedder, monitor: await openServerMonitor(embedder, flags) })
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  output.note('stopping: finishing requests in flight')
  await stop()
}

/** The log: JSON lines on stderr, in one queue with the notes there, which exit.ts hands over before the process ends. */
function openLog(flags: ServerFlags): Logger {
  const level = flags.quiet === true && flags.logLevel === 'info' ? 'warn' : flags.logLevel
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, process.stderr)
}

function cacheOf({ cacheMib }: ServerFlags): { cache?: false | { maxBytes: number } } {
  if (cacheMib === undefined) return {}
  return { cache: cacheMib === 0 ? false : { maxBytes: cacheMib * 1024 * 1024 } }
}

async function openServerMonitor(embedder: Embedder, { detector, artifact }: ServerFlags): Promise<Monitor> {
  return await Monitor.load({
    embedder,
    ...(detector !== undefined && { detector }),
    ...(artifact !== undefined && { erosion: { artifact } }),
  })
}

/** The API keys that may ask, before anything is opened: an address that others can reach is refused without one. */
export async function openKeys({ apiKeys, host }: { apiKeys?: string; host: string }): Promise<ApiKeys> {
  const { ApiKeys, refuseOpenAddress } = await import('../server/api-keys.js')
  const keys = await ApiKeys.read(apiKeys)
  refuseOpenAddress(host, keys)
  return keys
}

// A conversation's record is some ten kilobytes; this holds thousands of long ones.
const STORE_BYTES = 256 * 1024 * 1024

/** Where conversations are kept: Redis if there is a URL, else this process. */
export async function openStore({ redis, redisPrefix, ttlHours }: ServerFlags, logger: Logger): Promise<ConversationStore> {
  const ttlMs = ttlHours * 3_600_000
  if (redis === undefined) {
    const { MemoryStore } = await import('../server/conversations/memory-store.js')
    return new MemoryStore({ maxBytes: STORE_BYTES, ttlMs })
  }
  const { RedisStore } = await import('../server/conversations/redis-store.js')
  return await RedisStore.open({ url: redis, prefix: redisPrefix, ttlMs, logger })
}

/** For commander: a whole number of 0 or more. */
export function parseNumber(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw new InvalidArgumentError('Expected a whole number of 0 or more.')
  return number
}

/** For commander: a port. */
export function parsePort(value: string): number {
  const port = parseNumber(value)
  if (port > 65_535) throw new InvalidArgumentError('Expected a port from 0 to 65535.')
  return port
}
