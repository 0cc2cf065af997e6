// Owns requests to the service: API key if required, and an event stream that reconnects by itself.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import type { ConversationChange, ConversationStatus } from '../conversations/status.js'

/** A conversation with its last exchanges. */
export type ConversationView = ConversationStatus & { readonly history: readonly ExchangeVerdict[] }

/** Response of `/v1/stats`. */
export interface Stats {
  readonly perSecond: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly pendingTexts: number
  readonly refused: number
  readonly unjudged: number
  readonly blocked: number
  readonly exchanges: number
  readonly alerts: number
  readonly cacheHits: number
  readonly cacheMisses: number
}

const KEY_ITEM = 'gabion-key'
const MAX_PAUSE_MS = 5000

/** Client of the service. */
export class Api {
  readonly #askForKey: () => Promise<string>
  #pendingKey: Promise<string> | null = null

  constructor(askForKey: () => Promise<string>) {
    this.#askForKey = askForKey
  }

  async get<T>(path: string): Promise<T> {
    return (await (await this.#fetch(path)).json()) as T
  }

  async put<T>(path: string, body: unknown): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    return (await (await this.#fetch(path, headers, { method: 'PUT', body: JSON.stringify(body) })).json()) as T
  }

  /** Calls `onChange` for every event, and `onState` when the connection opens or closes; never returns. */
  async watch(onChange: (change: ConversationChange) => void, onState: (connected: boolean) => void): Promise<never> {
    let last = ''
    for (let tries = 0; ; tries++) {
      try {
        const response = await this.#fetch('v1/events', last === '' ? {} : { 'last-event-id': last })
        onState(true)
        tries = 0
        for await (const { id, data } of events(response)) {
          last = id
          onChange(JSON.parse(data) as ConversationChange)
        }
      } catch {
        // Reported below, and tried again.
      }
      onState(false)
      // A restarted instance numbers its events from the start.
      if (tries > 0) last = ''
      await new Promise((resolve) => setTimeout(resolve, Math.min(MAX_PAUSE_MS, 200 * 2 ** tries)))
    }
  }

  async #fetch(path: string, headers: Record<string, string> = {}, more: RequestInit = {}): Promise<Response> {
    for (;;) {
      const key = sessionStorage.getItem(KEY_ITEM)
      const response = await fetch(path, { ...more, headers: { ...headers, ...(key !== null && { authorization: `Bearer ${key}` }) } })
      if (response.ok) return response
      if (response.status !== 401) throw new Error(`${path}: ${String(response.status)}`)
      // Of several concurrent requests that fail, one asks for the key.
      this.#pendingKey ??= this.#askForKey().finally(() => (this.#pendingKey = null))
      sessionStorage.setItem(KEY_ITEM, await this.#pendingKey)
    }
  }
}

async function* events(response: Response): AsyncGenerator<{ id: string; data: string }> {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) {
      const fields = Object.fromEntries(
        part.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
      )
      if (fields.data !== undefined) yield { id: fields.id ?? '', data: fields.data }
    }
  }
}
