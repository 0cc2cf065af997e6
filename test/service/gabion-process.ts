// `gabion` as processes of their own, which can be killed.

import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { startProcess, type OwnProcess } from './ending.js'

/** A command that runs until it is stopped; `ready` is the JSON line that it begins with. */
export interface GabionProcess<Ready> extends OwnProcess {
  readonly ready: Ready
  /** What it wrote to stderr so far. */
  readonly log: () => string
}

/** Starts the command line as it is shipped. */
export async function startGabion<Ready>(args: string[], env: NodeJS.ProcessEnv = {}): Promise<GabionProcess<Ready>> {
  const own = startProcess(process.execPath, ['dist/cli/main.js', ...args, '--json'], ['ignore', 'pipe', 'pipe'], env)
  const [stdout, stderr] = [own.child.stdout as Readable, own.child.stderr as Readable]
  let log = ''
  stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const line = await Promise.race([once(stdout, 'data') as Promise<[Buffer]>, once(own.child, 'exit') as Promise<[number | null]>])
  if (!Buffer.isBuffer(line[0])) throw new Error(`gabion ${args.join(' ')} ended with ${line[0]}: ${log}`)
  return { ...own, ready: JSON.parse(line[0].toString()) as Ready, log: () => log }
}
