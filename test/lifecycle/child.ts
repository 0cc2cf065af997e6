// Runs a script of children/ in a Node process of its own and says how it ended.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** How a child ended. */
export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** Why a test that counts or limits memory is left out. */
export const SANITIZED = process.env.ASAN_OPTIONS === undefined ? false : 'AddressSanitizer takes memory of its own'

/** Timeout after which a child counts as hung. Generous: other tests run at the same time, perhaps under a sanitizer. */
const TIMEOUT_MS = 120_000

/**
 * Runs `children/<name>.mjs`. A child that hangs is killed, and its ending has the signal SIGKILL.
 */
export function runChild(name: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<Ending> {
  const script = fileURLToPath(new URL(`children/${name}.mjs`, import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr })
    })
  })
}
