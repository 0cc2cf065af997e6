// `gabion serve` as a process under load, with its own metrics.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

/** Limit of pending texts in the service. */
export const PENDING = 64

/** Starts it without a cache; `probe` reports its event-loop delay since the previous probe, and its resident memory. */
export async function startService({ threads, grpc = false }) {
  const flags = ['--threads', String(threads), '--cache-mib', '0', '--max-pending', String(PENDING), '--log-level', 'warn', '--json']
  const ports = ['--port', '0', ...(grpc ? ['--grpc-port', '0'] : ['--no-grpc'])]
  const args = ['--import', here('probe.mjs'), here('../../dist/cli/main.js'), 'serve', ...ports, ...flags]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const said = createInterface({ input: child.stderr })
  const [data] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(([code]) => Promise.reject(ended(code)))])
  const { url, grpcPort } = JSON.parse(data.toString())
  const probe = async () => {
    child.kill('SIGUSR2')
    for (;;) {
      const [line] = await once(said, 'line')
      if (line.startsWith('{"probe"')) return JSON.parse(line)
    }
  }
  const stop = async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }
  return { url, grpcPort, pid: child.pid, probe, stop }
}

/** Texts per second of the library alone, in its own process, with as many calls in flight as the service gets requests. */
export async function libraryAlone({ threads, seconds, atOnce }) {
  const args = [here('library.mjs'), threads, seconds, atOnce].map(String)
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [data] = await once(child.stdout, 'data')
  await once(child, 'exit')
  return JSON.parse(data.toString()).perSecond
}

function ended(code) {
  return new Error(`gabion serve ended with ${code}; does dist exist (npm run build:ts)?`)
}
