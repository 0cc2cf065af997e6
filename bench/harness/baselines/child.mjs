// Starts one implementation in a child process, in any language, and exchanges lines of JSON with it.
//
// After its start the child embeds one text and writes {"ready":true}. Then one response per request; `texts` is a file with an array of strings:
//   {"what":"calls","texts":FILE,"calls":N}               → {"microseconds":[…]}  three untimed calls, then N timed, one text each
//   {"what":"all","texts":FILE,"batch":SIZE[,"out":FILE]} → {"seconds":S}         all texts; rows of 32-bit floats go to `out`

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/**
 * @param {{ command: string, args: string[], env?: Record<string, string> }} start
 * @returns {Promise<{ ask: (request: object) => Promise<any>, stop: () => void }>}
 */
export async function startChild({ command, args, env = {} }) {
  const child = spawn(command, args, {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1', HF_HUB_OFFLINE: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-600)))
  child.on('error', (error) => (said += error.message))
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(said.trim().split('\n').at(-1) || 'it ended without a message')
    return value.startsWith('{') ? JSON.parse(value) : next()
  }
  await next()
  const ask = (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    return next()
  }
  return { ask, stop: () => child.stdin.end() }
}
