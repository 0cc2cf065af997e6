// Owns `gabion worker`: the monitor as a consumer of a Redis stream.

import { Command } from 'commander'
import { GabionError } from '../errors.js'
import { finishCommand, parseCount, type Context } from './command.js'
import { addServerOptions, openAlerting, parsePort, runUntilInterrupted, type ServerFlags } from './server-options.js'

interface WorkerFlags extends ServerFlags {
  group: string
  consumer?: string
  concurrency?: number
  claimAfterMs: number
  keepVerdicts: number
  host: string
  metricsPort?: number
}

// Enough that threads have work while another exchange waits for Redis.
const EXCHANGES_PER_THREAD = 4

/** The command `worker`. */
export function workerCommand(): Command {
  const command = new Command('worker')
    .summary('judge exchanges of a Redis stream')
    .description(
      'Judges the exchanges of stream {PREFIX}:exchanges (fields conversation, user, assistant; optional: system, rules, exchangeId) and writes verdicts to {PREFIX}:verdicts. ' +
        'Start as many as needed: they share the work, and take over entries of dead workers.',
    )
    .option('--group <name>', 'consumer group', 'gabion')
    .option('--consumer <name>', "this worker's name in the group (default: the host name and a random part)")
    .option('--concurrency <n>', `exchanges pending at once (default: ${EXCHANGES_PER_THREAD} per thread)`, parseCount)
    .option('--claim-after-ms <n>', 'idle time after which entries of other workers are claimed', parseCount, 30_000)
    .option('--keep-verdicts <n>', 'approximate length of the stream of verdicts', parseCount, 100_000)
    .option('--host <address>', 'address of the metrics', '127.0.0.1')
    .option('--metrics-port <n>', 'serve /metrics, /health and /ready', parsePort)
  return finishCommand<WorkerFlags>(
    addServerOptions(command),
    [
      'gabion worker --redis redis://127.0.0.1:6379 --metrics-port 9464',
      "redis-cli XADD '{gabion}:exchanges' '*' conversation c1 user 'Hello' assistant 'Hi there'",
      "redis-cli XREAD COUNT 10 STREAMS '{gabion}:verdicts' 0",
    ],
    run,
  )
}

async function run(context: Context, flags: WorkerFlags): Promise<undefined> {
  const { redis } = flags
  if (redis === undefined) throw new GabionError('INVALID_ARGUMENT', '--redis URL is required: a worker reads its exchanges there')
  const { startWorker } = await import('../server/worker/start.js')
  await runUntilInterrupted(context, flags, async ({ embedder, tenants, contexts, logger }) => {
    const running = await startWorker({
      tenants,
      contexts,
      logger,
      alerting: await openAlerting(flags, logger, () => null),
      url: redis,
      prefix: flags.redisPrefix,
      ttlMs: flags.ttlHours * 3_600_000,
      group: flags.group,
      ...(flags.consumer !== undefined && { consumer: flags.consumer }),
      concurrency: flags.concurrency ?? EXCHANGES_PER_THREAD * embedder.info.threads,
      claimAfterMs: flags.claimAfterMs,
      maxVerdicts: flags.keepVerdicts,
      host: flags.host,
      metricsPort: flags.metricsPort ?? null,
    })
    const { output } = context
    if (output.json) await output.jsonLine({ consumer: running.consumer, metricsPort: running.metricsPort, pid: process.pid })
    else output.note(`worker ${running.consumer} of group ${flags.group} is waiting for exchanges`)
    return () => running.stop()
  })
}
