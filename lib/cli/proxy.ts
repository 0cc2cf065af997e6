// Owns `gabion proxy`: a watcher in front of a chat service that nobody has to change.

import { Command, Option } from 'commander'
import { POLICIES, type Policy } from '../server/proxy/chat-watch.js'
import { finishCommand, type Context } from './command.js'
import { addServerOptions, openKeys, openStore, parsePort, runUntilInterrupted, type ServerFlags } from './server-options.js'

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
    .summary('watch a chat service from in front of it')
    .description(
      "Stands in front of a service with OpenAI's chat form and watches each conversation, streamed or not; the dashboard and events are under " +
        "/gabion/. A conversation is identified by its beginning and the caller's credentials, or by the header X-Gabion-Conversation.",
    )
    .requiredOption('-u, --upstream <url>', 'the service behind, such as http://127.0.0.1:8000')
    .option('--host <address>', 'address to listen on; one that others can reach needs API keys for /gabion/', '127.0.0.1')
    .option('-p, --port <n>', 'port, 0 for a free one', parsePort, 8081)
    .option('--api-keys <file>', 'API keys of /gabion/, one per line (also: environment GABION_API_KEYS)')
    .addOption(
      new Option('--on-alert <policy>', 'observe: only report; block: block the reply; end: and end the conversation')
        .choices(POLICIES)
        .default('observe'),
    )
    .option('--fail-closed', 'with block and end: also block replies that could not be read or judged')
    .option('--replacement-message <text>', 'sent in the place of a reply that is blocked', REPLACEMENT_MESSAGE)
    .option('--no-comments', 'leave streams as they are, without a comment that reports the verdict')
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
    const running = await serve({
      ...parts,
      store: await openStore(flags, parts.logger),
      keys,
      host: flags.host,
      port: flags.port,
      grpcPort: null,
      proxy: { upstream, policy: { policy: flags.onAlert, failClosed: flags.failClosed === true, replacementMessage, comments } },
    })
    const { url, port } = running
    const { output } = context
    if (output.json) await output.jsonLine({ url, port, upstream: upstream.host, policy: flags.onAlert, pid: process.pid })
    else output.note(`watching ${upstream.host} at ${url}, dashboard at ${url}/gabion/`)
    return () => running.stop()
  })
}
