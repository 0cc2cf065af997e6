// Owns the common part of long-running commands: flags of detector and store, log, loading.

import { InvalidArgumentError, Option, type Command } from 'commander'
import { pino, type Logger } from 'pino'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import type { DetectorName, Monitor } from '../monitor/monitor.js'
import type { AlertingOptions } from '../server/alerting.js'
import type { ApiKeys } from '../server/api-keys.js'
import type { LocalContexts } from '../server/conversations/local-contexts.js'
import type { ConversationStore } from '../server/conversations/store.js'
import type { NoDetector } from '../server/no-detector.js'
import type { Tenants } from '../server/tenants.js'
import { addAlertQueueOptions, alertingOf, type AlertQueueFlags } from './alert-options.js'
import { addDetectorOptions, NO_DETECTOR } from './detector-options.js'
import { addJudgingOptions, openMonitor, systemOf, type JudgingFlags } from './judging-options.js'
import { addEmbedderOptions, openEmbedder, parseCount, type Context, type EmbedderFlags } from './command.js'

/** Flags of `serve`, `worker` and `proxy`. */
export interface ServerFlags extends Omit<EmbedderFlags, 'model'>, Omit<JudgingFlags, 'detector'>, AlertQueueFlags {
  /** Several where the command takes them. */
  model: string | string[]
  detector?: DetectorName | typeof NO_DETECTOR
  tenants?: string
  texts: boolean
  cacheMib?: number
  redis?: string
  redisPrefix: string
  ttlHours: number
  logLevel: string
}

/** Adds the options. `vectors`: the command also serves vectors, of several models, and works without a detector. */
export function addServerOptions(command: Command, { vectors = false } = {}): Command {
  const withEngine = addDetectorOptions(addEmbedderOptions(command, { several: vectors }), { optional: vectors })
  return addAlertQueueOptions(addJudgingOptions(withEngine))
    .option(
      '--tenants <folder>',
      'a file NAME.yaml for each tenant: system, policy, benign, artifact, lexicon; chosen by X-Gabion-Tenant or /tenants/NAME/',
    )
    .option('--no-texts', 'keep texts, rules and sentences out of store, events, log and alerts; what follows soon is judged from memory')
    .option('--cache-mib <n>', 'vector cache in MiB, 0 for none (default: 32)', parseNumber)
    .option('--redis <url>', 'store conversations in Redis or Valkey (redis://[:password@]host:port/db, rediss:// with TLS)')
    .option('--redis-prefix <name>', 'prefix of all key names', 'gabion')
    .option('--ttl-hours <n>', 'hours after its last exchange at which a conversation is deleted', parseCount, 24)
    .addOption(
      new Option('--log-level <level>', 'minimum level of the log on stderr (JSON lines, never with texts)')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
}

/** The common parts of `serve`, `proxy` and `worker`. */
export interface ServerParts {
  readonly logger: Logger
  readonly embedder: Embedder
  /** Further models. */
  readonly embedders: readonly Embedder[]
  readonly monitor: Monitor | NoDetector
  readonly tenants: Tenants
  /** Not null where texts stay in this process. */
  readonly contexts: LocalContexts | null
}

/**
 * Opens log, models and monitor, calls `start` with them, and at the first signal calls the function that it returned.
 *
 * @param start - resolves when ready, with the function that stops it
 * @param vectors - starts also where the detector does not fit the model
 */
export async function runUntilInterrupted(
  { output, signal }: Context,
  flags: ServerFlags,
  start: (parts: ServerParts) => Promise<() => Promise<void>>,
  { vectors = false } = {},
): Promise<void> {
  const logger = openLog(flags)
  const judging = judgingFlags(flags)
  const [model, ...more] = [flags.model].flat()
  const engine = { ...cacheOf(flags), signal }
  using embedder = await openEmbedder({ ...judging, ...(model !== undefined && { model }) }, engine)
  const embedders: Embedder[] = []
  using _ = {
    [Symbol.dispose]: (): void => {
      for (const one of embedders) one.dispose()
    },
  }
  for (const name of more) embedders.push(await openEmbedder({ ...judging, model: name }, engine))
  using monitor = await openJudging(embedder, flags, judging, { signal, vectors })
  const [{ Tenants }, { LocalContexts }] = await Promise.all([
    import('../server/tenants.js'),
    import('../server/conversations/local-contexts.js'),
  ])
  const named =
    flags.tenants === undefined ? undefined : await (await import('./tenant-files.js')).openTenants(embedder, flags.tenants, judging)
  const tenants = new Tenants({ monitor, system: await systemOf(judging) }, named)
  const contexts = flags.texts ? null : new LocalContexts(flags.ttlHours * 3_600_000)
  const stop = await start({ logger, embedder, embedders, monitor, tenants, contexts })
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  output.note('stopping: finishing requests in flight')
  await stop()
}

/** The flags without those that other commands take in another way. */
function judgingFlags({ detector, model: _, ...rest }: ServerFlags): JudgingFlags & Omit<EmbedderFlags, 'model'> {
  return { ...rest, ...(detector !== undefined && detector !== NO_DETECTOR && { detector }) }
}

/** Flags that say by what is judged: who gives one means to have conversations judged. */
const JUDGING = ['artifact', 'guard', 'guardModel', 'guardClassifier', 'judge', 'lexicon', 'system', 'policy', 'tenants'] as const

/** What judges conversations; with `vectors` also nothing, where the detector does not fit the model. */
async function openJudging(
  embedder: Embedder,
  flags: ServerFlags,
  judging: JudgingFlags,
  { signal, vectors }: { signal: AbortSignal; vectors: boolean },
): Promise<Monitor | NoDetector> {
  const { monitorIfFitting, NoDetector } = await import('../server/no-detector.js')
  const asked = JUDGING.find((name) => flags[name] !== undefined)
  if (flags.detector === NO_DETECTOR) {
    if (asked === undefined) return new NoDetector('it was started with --detector none')
    const option = asked.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new GabionError('INVALID_ARGUMENT', `--detector none judges nothing: omit --${option}`)
  }
  const load = (): Promise<Monitor> => openMonitor(embedder, judging, { signal })
  return vectors ? await monitorIfFitting(load) : await load()
}

/** The log: JSON lines on stderr, in one queue with the notes there, which exit.ts flushes before the exit. */
function openLog(flags: ServerFlags): Logger {
  const level = flags.quiet === true && flags.logLevel === 'info' ? 'warn' : flags.logLevel
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, process.stderr)
}

function cacheOf({ cacheMib }: ServerFlags): { cache?: false | { maxBytes: number } } {
  if (cacheMib === undefined) return {}
  return { cache: cacheMib === 0 ? false : { maxBytes: cacheMib * 1024 * 1024 } }
}

/** Reads the API keys before anything is opened: a public address without keys is refused. */
export async function openKeys({ apiKeys, host }: { apiKeys?: string; host: string }): Promise<ApiKeys> {
  const { ApiKeys, refuseOpenAddress } = await import('../server/api-keys.js')
  const keys = await ApiKeys.read(apiKeys)
  refuseOpenAddress(host, keys)
  return keys
}

/** Who is told of alerts by the flags. `dashboard` is the URL of the server's own dashboard, null until it is known or without one. */
export async function openAlerting(flags: ServerFlags, logger: Logger, dashboard: () => string | null): Promise<AlertingOptions> {
  const { redis, redisPrefix } = flags
  const open = async (url: string): Promise<AlertingOptions['queue']> => {
    const [{ RedisAlertQueue }, { RedisConnection }, { Keys }] = await Promise.all([
      import('../server/redis/alert-queue.js'),
      import('../server/redis/connection.js'),
      import('../server/redis/keys.js'),
    ])
    return new RedisAlertQueue(await RedisConnection.open(url, logger), new Keys(redisPrefix))
  }
  return await alertingOf(flags, dashboard, redis === undefined ? null : () => open(redis))
}

// A conversation's record is some ten kilobytes; this holds thousands of long ones.
const STORE_BYTES = 256 * 1024 * 1024

/** Opens the store of conversations: Redis if there is a URL, else in this process. */
export async function openStore({ redis, redisPrefix, ttlHours }: ServerFlags, logger: Logger): Promise<ConversationStore> {
  const ttlMs = ttlHours * 3_600_000
  if (redis === undefined) {
    const { MemoryStore } = await import('../server/conversations/memory-store.js')
    return new MemoryStore({ maxBytes: STORE_BYTES, ttlMs })
  }
  const { RedisStore } = await import('../server/conversations/redis-store.js')
  return await RedisStore.open({ url: redis, prefix: redisPrefix, ttlMs, logger })
}

/** commander parser: a whole number of 0 or more. */
export function parseNumber(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw new InvalidArgumentError('Expected a whole number of 0 or more.')
  return number
}

/** commander parser: a port. */
export function parsePort(value: string): number {
  const port = parseNumber(value)
  if (port > 65_535) throw new InvalidArgumentError('Expected a port from 0 to 65535.')
  return port
}
