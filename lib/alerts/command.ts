// Owns delivery to a command of the operator's: the alert is JSON on its standard input.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { alertBody } from './alert-body.js'
import type { Alert } from './alert.js'
import { DeliveryFailure, type AlertDestination } from './destination.js'

const TIMEOUT_MS = 60_000
const KILL_AFTER_MS = 2000

/** A command, run by the shell; exit code 0 means delivered. Nothing of an alert is on its command line. */
export class AlertCommand implements AlertDestination {
  readonly label: string
  readonly key: string
  readonly #command: string
  readonly #dashboard: () => string | null

  constructor(command: string, label: string, dashboard: () => string | null) {
    this.#command = command
    this.#dashboard = dashboard
    this.label = label
    this.key = createHash('sha256').update(`command ${command}`).digest('hex').slice(0, 16)
  }

  async deliver(alert: Alert, signal: AbortSignal): Promise<void> {
    const child = spawn(this.#command, {
      shell: true,
      // Its own group, so that what the shell started ends with it.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...withoutSecrets(process.env), GABION_ALERT_ID: alert.id },
    })
    const end = (name: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, name)
      } catch {
        // It has ended.
      }
    }
    const stop = (): void => {
      end('SIGTERM')
      setTimeout(() => end('SIGKILL'), KILL_AFTER_MS).unref()
    }
    const timer = setTimeout(stop, TIMEOUT_MS)
    signal.addEventListener('abort', stop, { once: true })
    try {
      // A command need not read its input.
      child.stdin.on('error', () => undefined).end(`${alertBody(alert, 'json', this.#dashboard())}\n`)
      const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null]
      if (code !== 0) throw new DeliveryFailure(code === null ? `the command was ended by ${killedBy}` : `the command ended with ${code}`)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** The environment without gabion's own keys and secrets. */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^GABION_.*(KEY|SECRET)/.test(name)))
}
