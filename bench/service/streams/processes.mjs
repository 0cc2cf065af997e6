// Processes of the benchmark, which can be killed: gabion's proxy, Redis, and a receiver of alerts.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from '@redis/client'

const cli = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const probe = new URL('memory-probe.mjs', import.meta.url).href

/** Ends with this process. */
function start(command, args, stdio) {
  const child = spawn(command, args, { stdio })
  process.once('exit', () => child.kill('SIGKILL'))
  const kill = async (signal = 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
  }
  return { child, kill }
}

/** `gabion proxy` as a process. */
export async function startProxy(args) {
  const flags = ['--expose-gc', '--import', probe, cli, 'proxy', '--json', '--log-level', 'silent', ...args]
  const { child, kill } = start(process.execPath, flags, ['ignore', 'pipe', 'inherit', 'ipc'])
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`gabion proxy ended with ${code}`))),
  ])
  const { url, port } = JSON.parse(line.toString())
  const memory = () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
  /** After a garbage collection. */
  const memoryInUse = async () => {
    child.send('')
    const [used] = await once(child, 'message')
    return used
  }
  return { url, port, kill, memory, memoryInUse }
}

/** Redis that writes every command to its disk before it answers. */
export async function startRedis(port) {
  const folder = mkdtempSync(join(tmpdir(), 'gabion-streams-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
    '--save',
    '',
  ]
  let running
  const begin = async () => {
    running = start('redis-server', options, 'ignore')
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 200) throw new Error(`redis-server on port ${port} does not answer`)
      await pause(50)
    }
  }
  await begin()
  const url = `redis://127.0.0.1:${port}`
  /** The part between a prefix and an @ of all keys that have both. */
  const namesOf = async (prefix) => {
    const client = await createClient({ url }).connect()
    const names = new Set()
    for await (const keys of client.scanIterator({ MATCH: `${prefix}*@*`, COUNT: 1000 }))
      for (const key of keys) names.add(key.slice(prefix.length, key.lastIndexOf('@')))
    client.destroy()
    return names
  }
  return { url, kill: () => running.kill(), start: begin, namesOf }
}

async function answers(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: false } })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    client.destroy()
  }
}

/** A webhook that notes alerts while `open` is true, and refuses them before. */
export async function startReceiver() {
  const received = new Set()
  const receiver = { received, open: false }
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    if (receiver.open) received.add(JSON.parse(Buffer.concat(chunks).toString()).id)
    response.writeHead(receiver.open ? 200 : 503).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(receiver, { url: `http://127.0.0.1:${server.address().port}/alerts` })
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
