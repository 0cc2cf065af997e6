// A real service in the test's own process, on free ports: the real model, the real detector, both protocols.

import { pino, type Logger } from 'pino'
import { Embedder, Monitor } from '../../lib/index.js'
import { ApiKeys } from '../../lib/server/api-keys.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import { serve, type RunningService, type ServeOptions } from '../../lib/server/serve.js'
import { atEnd } from './ending.js'

/** A key that tests use. */
export const KEY = 'a-key-for-tests-only-0123456789'

let embedder: Promise<Embedder> | undefined

/** One embedder per test process, without warnings about truncated texts. */
export function testEmbedder(): Promise<Embedder> {
  embedder ??= Embedder.load({ onTruncated: () => undefined })
  return embedder
}

/** A monitor whose alert in the eroding example needs no system prompt. */
export async function erosionMonitor(): Promise<Monitor> {
  return await Monitor.load({ embedder: await testEmbedder(), detector: 'erosion' })
}

/** Log lines as text, for assertions. */
export function memoryLog(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  return { logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }), lines }
}

/** Starts a service; what a test does not say is as `gabion serve` has it, on free ports. It ends with the file, if not before. */
export async function startService(options: Partial<ServeOptions> & { keyList?: string[] } = {}): Promise<RunningService> {
  const { keyList = [], ...rest } = options
  const loaded = await testEmbedder()
  const running = await serve({
    embedder: loaded,
    monitor: await Monitor.load({ embedder: loaded }),
    store: new MemoryStore({ maxBytes: 64 * 1024 * 1024, ttlMs: 3_600_000 }),
    keys: new ApiKeys(keyList),
    logger: pino({ level: 'silent' }),
    port: 0,
    grpcPort: 0,
    ...rest,
  })
  let stopped: Promise<void> | undefined
  const stop = (drainMs?: number): Promise<void> => (stopped ??= running.stop(drainMs).finally(ended))
  const ended = atEnd(() => stop(1000))
  return { ...running, stop }
}

/** An answer with its body read. */
export interface Answer<T = unknown> {
  status: number
  headers: Headers
  body: T
}

/** The form of every failure. */
export interface FailureBody {
  error: { code: string; message: string; type: string; requestId: string }
}

/** Sends JSON and reads JSON. */
export async function post<T = FailureBody>(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as T }
}

/** Gets JSON. */
export async function get<T = FailureBody>(url: string, headers: Record<string, string> = {}): Promise<Answer<T>> {
  const response = await fetch(url, { headers })
  return { status: response.status, headers: response.headers, body: (await response.json()) as T }
}
