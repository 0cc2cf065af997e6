// Streams labeled replies that the guard was not trained on through its reading: how many words have passed when a reply is cut, and how many
// harmless ones are cut. And what reading costs: the share of one core for a stream of 80 tokens a second.
//
// usage: node --import tsx lab/guard/stream-cuts.ts [--limit N] [--cpu]      --limit: replies of each set; --cpu: the cost alone

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { createGunzip } from 'node:zlib'
import { Embedder } from '../../lib/embedding/embedder.js'
import type { Conversation } from '../../lib/monitor/conversation.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { GrowingReply, tokensIn } from '../../lib/monitor/stream/growing-reply.js'
import { GATE_LIMITS } from '../../lib/monitor/stream/reply-gate.js'
import { StreamGuard } from '../../lib/monitor/stream/stream-guard.js'
import { quantile } from '../../lib/statistics/quantile.js'
import { deploymentsOf, LEFT_OUT } from './written.js'

interface Labeled {
  readonly set: string
  readonly system: string | null
  /** Replies of one conversation come in order. */
  readonly conversation: string
  readonly user: string
  readonly assistant: string
  /** Unsafe, or breaks a rule; null for a reply that only stands in its conversation. */
  readonly bad: boolean | null
}

/** As in sources.py. */
const MEASURED_UNSAFE = ['dev-harmbench-response', 'dev-xstest-response', 'diasafety-test']

const TOKENS_PER_SECOND = 80
/** A reading begins at the earlier of both limits. */
const TOKENS_PER_READING = Math.min(GATE_LIMITS.lagTokens, (TOKENS_PER_SECOND * GATE_LIMITS.lagMs) / 1000)

async function* ofDeployments(): AsyncGenerator<Labeled> {
  for (const { name, system, conversations } of await deploymentsOf(LEFT_OUT)) {
    for (const [index, { exchanges }] of conversations.entries()) {
      const place = { set: 'deployments', system, conversation: `${name} ${String(index)}` }
      for (const { user, assistant, label } of exchanges)
        yield { ...place, user, assistant, bad: label === 'waver' ? null : label === 'break' }
    }
  }
}

async function* ofSet(set: string): AsyncGenerator<Labeled> {
  const lines = createInterface({ input: createReadStream(join('data', `${set}.jsonl.gz`)).pipe(createGunzip()) })
  for await (const line of lines) {
    const { id, turns, label } = JSON.parse(line) as Row
    const exchanges =
      'user' in turns[0]!
        ? (turns as { user: string; model: string }[]).map(({ user, model }) => ({ user, assistant: model }))
        : exchangesOf(turns as { role: string; content: string }[])
    for (const [index, exchange] of exchanges.entries()) {
      const isLabeled = index === exchanges.length - 1 && (label === 'safe' || label === 'unsafe')
      yield { set, system: null, conversation: id, ...exchange, bad: isLabeled ? label === 'unsafe' : null }
    }
  }
}

/** A conversation of a public set; its label is that of the last reply. */
interface Row {
  readonly id: string
  readonly turns: readonly ({ readonly user: string; readonly model: string } | { readonly role: string; readonly content: string })[]
  readonly label: string
}

function exchangesOf(messages: readonly { readonly role: string; readonly content: string }[]): { user: string; assistant: string }[] {
  return messages.flatMap(({ role, content }, index) => {
    const before = messages[index - 1]
    return role === 'assistant' ? [{ user: before?.role === 'user' ? before.content : '', assistant: content }] : []
  })
}

/** The words that have passed when the reply is cut; null if it is not. */
async function wordsAtCut(conversation: Conversation, { user, assistant }: Labeled): Promise<number | null> {
  const reply = new GrowingReply(() => conversation.beginReply(user))
  let waiting = 0
  const words = assistant.match(/\s*\S+\s*/g) ?? []
  let passed = 0
  for (const [index, word] of words.entries()) {
    reply.add(word)
    waiting += tokensIn(word)
    if (waiting < TOKENS_PER_READING && index < words.length - 1) continue
    waiting = 0
    while (reply.read < reply.length) if ((await reply.readMore(new AbortController().signal)) !== null) return passed
    passed = index + 1
  }
  return null
}

async function measureCuts(limit: number): Promise<void> {
  using monitor = await Monitor.load({ detector: 'guard' })
  const table: Record<string, object> = {}
  for (const source of [ofDeployments(), ...MEASURED_UNSAFE.map(ofSet)]) {
    let set = ''
    const counts = { bad: 0, harmless: 0, harmlessCut: 0 }
    const passed: number[] = []
    for await (const labeled of source) {
      if (counts.bad + counts.harmless >= limit) break
      const { system, user, assistant } = labeled
      set = labeled.set
      const conversation = monitor.conversation(labeled.conversation, { system })
      const words = labeled.bad === null ? null : await wordsAtCut(conversation, labeled)
      // The conversation goes on with the whole reply.
      await conversation.addExchange({ user, assistant })
      if (labeled.bad === null) continue
      counts[labeled.bad ? 'bad' : 'harmless']++
      if (words !== null && labeled.bad) passed.push(words)
      if (words !== null && !labeled.bad) counts.harmlessCut++
    }
    const at = (share: number): number | null => (passed.length === 0 ? null : Math.round(quantile(passed, share)))
    table[set] = {
      'unsafe or breaking': counts.bad,
      'of them cut': passed.length,
      'words passed, median': at(0.5),
      'words passed, p90': at(0.9),
      harmless: counts.harmless,
      'harmless cut': counts.harmlessCut,
    }
  }
  console.table(table)
}

async function measureCost(): Promise<void> {
  for (const precision of ['int8', 'bf16'] as const) {
    const embedder = await Embedder.load({ precision, threads: 1 })
    const monitor = await Monitor.load({ embedder, detector: 'guard', guard: { threads: 1, precision } })
    const conversation = monitor.begin('c', { system: 'You are the assistant of a library. Never lend more than ten books. Be polite.' })
    for (let round = 0; round < 4; round++)
      await conversation.addExchange({
        user: 'May I have another book?',
        assistant: 'Of course, the shelves on your left have the new ones.',
      })
    const guard = new StreamGuard(conversation, 'Tell me about the library.')
    const reply = 'The reading room on the second floor is open until nine. You may bring your own books. '.repeat(100)
    const source = (async function* () {
      for (let token = 0; token < 20 * TOKENS_PER_SECOND; token++) {
        await new Promise((resolve) => setTimeout(resolve, 1000 / TOKENS_PER_SECOND))
        yield reply.slice(4 * token, 4 * token + 4)
      }
    })()
    const [cpu, started] = [process.cpuUsage(), performance.now()]
    let length = 0
    for await (const text of guard.pass(source)) length += text.length
    const { user, system } = process.cpuUsage(cpu)
    const seconds = (performance.now() - started) / 1000
    const { outcome, unread } = await guard.result
    const share = (user + system) / 1e6 / seconds
    const rate = length / 4 / seconds
    console.log(
      `${precision}: ${(100 * share).toFixed(1)} % of a core at ${rate.toFixed(0)} tokens a second, ${outcome}, ${String(unread)} characters passed unread`,
    )
    monitor.dispose()
    embedder.dispose()
  }
}

const { values } = parseArgs({ options: { limit: { type: 'string', default: 'Infinity' }, cpu: { type: 'boolean', default: false } } })
if (!values.cpu) await measureCuts(Number(values.limit))
await measureCost()
