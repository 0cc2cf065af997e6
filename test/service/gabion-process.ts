// `gabion` as processes of their own, which can be killed.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** A command that runs until it is stopped; `ready` is the JSON line that it begins with. */
export interface GabionProcess<Ready> {
  readonly child: ChildProcess
  readonly ready: Ready
  /** What it wrote to stderr so far. */
  readonly log: () => string
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts the command line from its sources. */
export async function startGabion<Ready>(args: string[], env: NodeJS.ProcessEnv = {}): Promise<GabionProcess<Ready>> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const line = await Promise.race([once(child.stdout, 'data') as Promise<[Buffer]>, exit])
  if (!Buffer.isBuffer(line[0])) throw new Error(`gabion ${args.join(' ')} ended with ${line[0]}: ${log}`)
  return {
    child,
    ready: JSON.parse(line[0].toString()) as Ready,
    log: () => log,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      return (await exit)[0]
    },
  }
}
