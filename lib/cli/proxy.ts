// Owns `gabion proxy`: a monitoring proxy in front of an unmodified chat service.

import { Command, Option } from 'commander'
import { DEFAULT_POLICY, POLICIES, PROXY_LIMITS, type Policy } from '../server/proxy/policy.js'
import { checkLimits } from '../monitor/stream/stream-guard.js'
import { finishCommand, parseCount, type Context } from './command.js'
import { addServerOptions, openAlerting, openKeys, openStore, parsePort, runUntilInterrupted, type ServerFlags } from './server-options.js'

interface ProxyFlags extends ServerFlags {
  upstream: string
  host: string
  port: number
  apiKeys?: string
  onAlert: Policy
  failOpen?: boolean
  failClosed?: boolean
  replacementMessage: string
  comments: boolean
  judgeTimeoutMs: number
  onlyWatched?: boolean
  clientKeys?: string
  callerHeader?: string
  maxBodyMib: number
  drainSeconds: number
  lagTokens: number
  lagMs: number
  maxLagMs: number
}

const MIB = 1024 * 1024

/** The command `proxy`. */
export function proxyCommand(): Command {
  const command = new Command('proxy')
    .summary('monitor a chat service as a proxy')
    .description(
      'Forwards requests to a service with the chat API of OpenAI, Anthropic or Ollama and monitors each conversation, streamed or not; the ' +
        'dashboard and events are under /gabion/. A conversation is identified by its caller and its exchanges, or by the header ' +
        'X-Gabion-Conversation.',
    )
    .requiredOption('-u, --upstream <url>', 'URL of the service, such as http://127.0.0.1:8000')
    .option('--host <address>', 'address to listen on; a public one requires API keys for /gabion/', '127.0.0.1')
    .option('-p, --port <n>', 'port, 0 for a free one', parsePort, 8081)
    .option('--api-keys <file>', 'API keys of /gabion/, one per line (also: environment variable GABION_API_KEYS)')
    .addOption(
      new Option(
        '--on-alert <policy>',
        'observe: only report; cut: end a stream where it crosses the alert line; hold: send no reply before it is judged; end: also end the conversation',
      )
        .choices(POLICIES)
        .default(DEFAULT_POLICY.policy),
    )
    .addOption(
      new Option('--fail-open', 'not with observe: pass replies whose verdict could not be made or stored').conflicts('failClosed'),
    )
    .option('--fail-closed', 'not with observe: also block replies that could not be read, or not whole')
    .option('--lag-tokens <n>', 'with cut: tokens of a stream that wait before they are read', parseCount, DEFAULT_POLICY.lag.lagTokens)
    .option('--lag-ms <n>', 'with cut: time that they wait at most, where reading keeps up', parseCount, DEFAULT_POLICY.lag.lagMs)
    .option('--max-lag-ms <n>', 'with cut: time after which they pass unread', parseCount, DEFAULT_POLICY.lag.maxLagMs)
    .option('--replacement-message <text>', 'sent instead of a blocked reply', DEFAULT_POLICY.replacementMessage)
    .option('--no-comments', 'do not add comments to event streams: the verdict, and signs of life while a stream is held')
    .option('--judge-timeout-ms <n>', 'time after which a reply counts as not judged', parseCount, DEFAULT_POLICY.judgeTimeoutMs)
    .option('--only-watched', 'refuse requests that are not watched with 403')
    .option('--client-keys <file>', 'keys that clients need, one per line with the name of its tenant')
    .option('--caller-header <name>', 'header by which a trusted gateway names the caller (default: the credentials of the request)')
    .option('--max-body-mib <n>', 'maximum size of a request', parseCount, PROXY_LIMITS.bodyBytes / MIB)
    .option('--drain-seconds <n>', 'time for requests in flight when the proxy ends', parseCount, 20)
  return finishCommand<ProxyFlags>(
    addServerOptions(command),
    ['gabion proxy --upstream http://127.0.0.1:8000', 'gabion proxy --upstream https://llm.example --on-alert hold'],
    run,
  )
}

async function run(context: Context, flags: ProxyFlags): Promise<undefined> {
  const [{ serve }, { Upstream }, { ClientKeys }] = await Promise.all([
    import('../server/serve.js'),
    import('../server/proxy/upstream.js'),
    import('../server/proxy/caller.js'),
  ])
  const upstream = new Upstream(flags.upstream)
  const clientKeys = flags.clientKeys === undefined ? null : await ClientKeys.read(flags.clientKeys)
  const { replacementMessage, comments, judgeTimeoutMs, lagTokens, lagMs, maxLagMs } = flags
  const policy = {
    ...DEFAULT_POLICY,
    policy: flags.onAlert,
    failOpen: flags.failOpen === true,
    failClosed: flags.failClosed === true,
    replacementMessage,
    comments,
    judgeTimeoutMs,
    lag: checkLimits({ lagTokens, lagMs, maxLagMs, failClosed: false }),
    onlyWatched: flags.onlyWatched === true,
    callerHeader: flags.callerHeader?.toLowerCase() ?? null,
  }
  const keys = await openKeys(flags)
  await runUntilInterrupted(context, flags, async (parts) => {
    let dashboard: string | null = null
    const running = await serve({
      ...parts,
      alerting: await openAlerting(flags, parts.logger, () => dashboard),
      store: await openStore(flags, parts.logger),
      keys,
      host: flags.host,
      port: flags.port,
      grpcPort: null,
      proxy: { upstream, policy, clientKeys },
      limits: { ...PROXY_LIMITS, bodyBytes: flags.maxBodyMib * MIB },
    })
    const { url, port } = running
    dashboard = `${url}/gabion/`
    const { output } = context
    if (output.json) await output.jsonLine({ url, port, upstream: upstream.host, policy: flags.onAlert, pid: process.pid })
    else output.note(`monitoring ${upstream.host} at ${url}, dashboard at ${url}/gabion/`)
    return () => running.stop(flags.drainSeconds * 1000)
  })
}
