// Owns `gabion proxy`: a monitoring proxy in front of an unmodified chat service.

import { Command, Option } from 'commander'
import { POLICIES, type Policy } from '../server/proxy/chat-watch.js'
import { finishCommand, type Context } from './command.js'
import { addServerOptions, openAlerting, openKeys, openStore, parsePort, runUntilInterrupted, type ServerFlags } from './server-options.js'

interface ProxyFlags extends ServerFlags {
  upstream: string
  host: string
  port: number
  apiKeys?: string
  onAlert: Policy
  failClosed?: boolean
  replacementMessage: string
  comments: boolean
}

const REPLACEMENT_MESSAGE = 'This reply was blocked by a safety check.'

/** The command `proxy`. */
export function proxyCommand(): Command {
  const command = new Command('proxy')
    .summary('monitor a chat service as a proxy')
    .description(
      "Forwards requests to a service with OpenAI's chat API and monitors each conversation, streamed or not; the dashboard and events are under " +
        "/gabion/. A conversation is identified by its beginning and the caller's credentials, or by the header X-Gabion-Conversation.",
    )
    .requiredOption('-u, --upstream <url>', 'URL of the service, such as http://127.0.0.1:8000')
    .option('--host <address>', 'address to listen on; a public one requires API keys for /gabion/', '127.0.0.1')
    .option('-p, --port <n>', 'port, 0 for a free one', parsePort, 8081)
    .option('--api-keys <file>', 'API keys of /gabion/, one per line (also: environment variable GABION_API_KEYS)')
    .addOption(
      new Option('--on-alert <policy>', 'observe: only report; block: block the reply; end: also end the conversation')
        .choices(POLICIES)
        .default('observe'),
    )
    .option('--fail-closed', 'with block and end: also block replies that could not be read or judged')
    .option('--replacement-message <text>', 'sent instead of a blocked reply', REPLACEMENT_MESSAGE)
    .option('--no-comments', 'do not add the verdict as a comment to streams')
  return finishCommand<ProxyFlags>(
    addServerOptions(command),
    ['gabion proxy --upstream http://127.0.0.1:8000', 'gabion proxy --upstream https://llm.example --on-alert block'],
    run,
  )
}

async function run(context: Context, flags: ProxyFlags): Promise<undefined> {
  const [{ serve }, { Upstream }] = await Promise.all([import('../server/serve.js'), import('../server/proxy/upstream.js')])
  const upstream = new Upstream(flags.upstream)
  const { replacementMessage, comments } = flags
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
      proxy: { upstream, policy: { policy: flags.onAlert, failClosed: flags.failClosed === true, replacementMessage, comments } },
    })
    const { url, port } = running
    dashboard = `${url}/gabion/`
    const { output } = context
    if (output.json) await output.jsonLine({ url, port, upstream: upstream.host, policy: flags.onAlert, pid: process.pid })
    else output.note(`monitoring ${upstream.host} at ${url}, dashboard at ${url}/gabion/`)
    return () => running.stop()
  })
}
