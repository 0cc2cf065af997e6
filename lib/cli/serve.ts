// Owns `gabion serve`: the service as a process, from flags to shutdown.

import { Command } from 'commander'
import { GabionError } from '../errors.js'
import { DEFAULT_LIMITS } from '../server/limits.js'
import { finishCommand, parseCount, type Context } from './command.js'
import { addServerOptions, openAlerting, openKeys, openStore, parsePort, runUntilInterrupted, type ServerFlags } from './server-options.js'

interface ServeFlags extends ServerFlags {
  host: string
  port: number
  grpcPort: number
  grpc: boolean
  apiKeys?: string
  tlsCert?: string
  tlsKey?: string
  projection?: string
  classifier?: string
  maxPending: number
  maxTexts: number
  maxTextLength: number
  maxBodyKib: number
  timeoutMs: number
  drainSeconds: number
}

/** The command `serve`. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .summary('HTTP and gRPC service with a dashboard')
    .description('Embeds texts and monitors conversations over HTTP (OpenAI and TEI APIs) and gRPC, with a live dashboard.')
    .option('--host <address>', 'address to listen on; a public one requires API keys', '127.0.0.1')
    .option('-p, --port <n>', 'HTTP port, 0 for a free one', parsePort, 8080)
    .option('--grpc-port <n>', 'gRPC port, 0 for a free one', parsePort, 50_051)
    .option('--no-grpc', 'HTTP only')
    .option('--api-keys <file>', 'API keys, one per line (also: environment variable GABION_API_KEYS, separated by commas)')
    .option('--tls-cert <file>', 'certificate chain in PEM form, for both protocols')
    .option('--tls-key <file>', 'its private key')
    .option('--projection <file>', 'projection of /v1/project, from "gabion pca fit"')
    .option('--classifier <folder>', 'Hugging Face classifier or reranker of /predict and /rerank')
    .option('--max-pending <n>', 'maximum of pending texts; requests over it are refused at once', parseCount, DEFAULT_LIMITS.pendingTexts)
    .option('--max-texts <n>', 'maximum of texts per request', parseCount, DEFAULT_LIMITS.texts)
    .option('--max-text-length <n>', 'maximum of characters per text', parseCount, DEFAULT_LIMITS.textLength)
    .option('--max-body-kib <n>', 'maximum size of a request', parseCount, DEFAULT_LIMITS.bodyBytes / 1024)
    .option('--timeout-ms <n>', 'maximum time of a request', parseCount, DEFAULT_LIMITS.requestMs)
    .option('--drain-seconds <n>', 'time for requests in flight when the service ends', parseCount, 20)
  return finishCommand<ServeFlags>(
    addServerOptions(command, { vectors: true }),
    [
      'gabion serve                             http://127.0.0.1:8080, for this machine only',
      'GABION_API_KEYS=$(openssl rand -hex 32) gabion serve --host 0.0.0.0',
      'gabion serve --model intfloat/e5-small-v2 --detector none   vectors of any model',
      'gabion serve --redis redis://127.0.0.1:6379   any instance can take any exchange',
    ],
    run,
  )
}

async function run(context: Context, flags: ServeFlags): Promise<undefined> {
  if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined)) {
    throw new GabionError('INVALID_ARGUMENT', '--tls-cert and --tls-key must be used together: one of them is missing')
  }
  const [{ serve }, { Projection }] = await Promise.all([import('../server/serve.js'), import('../projection/projection.js')])
  const keys = await openKeys(flags)
  const projection = flags.projection === undefined ? null : await Projection.load(flags.projection)
  using classifier =
    flags.classifier === undefined ? null : await (await import('../classifier/classifier.js')).Classifier.load(flags.classifier)
  await runUntilInterrupted(
    context,
    flags,
    async (parts) => {
      let dashboard: string | null = null
      const alerting = await openAlerting(flags, parts.logger, () => dashboard)
      const store = await openStore(flags, parts.logger)
      const running = await serve({
        ...parts,
        alerting,
        store,
        keys,
        projection,
        classifier,
        host: flags.host,
        port: flags.port,
        grpcPort: flags.grpc ? flags.grpcPort : null,
        ...(flags.tlsCert !== undefined && flags.tlsKey !== undefined && { tls: { cert: flags.tlsCert, key: flags.tlsKey } }),
        limits: {
          pendingTexts: flags.maxPending,
          texts: flags.maxTexts,
          textLength: flags.maxTextLength,
          bodyBytes: flags.maxBodyKib * 1024,
          requestMs: flags.timeoutMs,
        },
      })
      const { url, port, grpcPort } = running
      dashboard = url
      const { output } = context
      if (output.json) await output.jsonLine({ url, port, grpcPort, store: store.kind, pid: process.pid })
      else {
        const grpc = grpcPort === null ? '' : `, gRPC on port ${grpcPort}`
        const { models, noDetector } = running.service
        const judging = noDetector === null ? ` and detector ${running.service.monitor.detector.name}` : ''
        output.note(`serving ${models.names.join(', ')}${judging} at ${url}${grpc}`)
        if (noDetector !== null) output.note(`no conversations are judged: ${noDetector}`)
        output.note(keys.size === 0 ? 'no API keys: open to all users of this machine' : `${keys.size} API key(s)`)
      }
      return () => running.stop(flags.drainSeconds * 1000)
    },
    { vectors: true },
  )
}
