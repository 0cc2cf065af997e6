// Streams labeled replies that the guard was not trained on through its reading: how many words have passed when a reply is cut, and how many
// harmless ones are cut. And what reading costs: the share of one core for a stream of 80 tokens a second.
//
// usage: node --import tsx lab/guard/stream-cuts.ts [--sample 200] [--cpu]
//   --sample  conversations of each set, at even distances; 0 for all of them
//   --cpu     measures the cost alone

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
  readonly user: string
  readonly assistant: string
  /** Unsafe, or breaks a rule; null for a reply that only stands in its conversation. */
  readonly bad: boolean | null
}

interface LabeledConversation {
  readonly system: string | null
  readonly exchanges: readonly Labeled[]
}

/** As in sources.py. */
const MEASURED_UNSAFE = ['dev-harmbench-response', 'dev-xstest-response', 'diasafety-test']

const TOKENS_PER_SECOND = 80
/** Tokens that come in the time after which a reading begins, if not so many wait that one begins earlier. */
const TOKENS_PER_READING = Math.min(GATE_LIMITS.lagTokens, (TOKENS_PER_SECOND * GATE_LIMITS.lagMs) / 1000)
/** The first reading begins after half of the lag. */
const FIRST_TOKENS = TOKENS_PER_READING / 2
/** Conversations that are read at once. */
const AT_ONCE = 4

async function ofDeployments(): Promise<LabeledConversation[]> {
  const deployments = await deploymentsOf(LEFT_OUT)
  return deployments.flatMap(({ system, conversations }) =>
    conversations.map(({ exchanges }) => ({
      system,
      exchanges: exchanges.map(({ user, assistant, label }) => ({ user, assistant, bad: label === 'waver' ? null : label === 'break' })),
    })),
  )
}

async function ofSet(set: string): Promise<LabeledConversation[]> {
  const conversations: LabeledConversation[] = []
  const lines = createInterface({ input: createReadStream(join('data', `${set}.jsonl.gz`)).pipe(createGunzip()) })
  for await (const line of lines) {
    const { turns, label } = JSON.parse(line) as Row
    const exchanges =
      'user' in turns[0]!
        ? (turns as { user: string; model: string }[]).map(({ user, model }) => ({ user, assistant: model }))
        : exchangesOf(turns as { role: string; content: string }[])
    const isLabeled = label === 'safe' || label === 'unsafe'
    const labeled = exchanges.map((exchange, index) => ({
      ...exchange,
      bad: isLabeled && index === exchanges.length - 1 ? label === 'unsafe' : null,
    }))
    conversations.push({ system: null, exchanges: labeled })
  }
  return conversations
}

/** So many of a list, at even distances. */
function sampleOf<T>(all: readonly T[], count: number): T[] {
  const step = count === 0 ? 1 : Math.max(1, all.length / count)
  return Array.from({ length: Math.floor(all.length / step) }, (_, index) => all[Math.floor(index * step)]!)
}

/** A conversation of a public set; its label is that of the last reply. */
interface Row {
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
  let due = FIRST_TOKENS
  const words = assistant.match(/\s*\S+\s*/g) ?? []
  let passed = 0
  for (const [index, word] of words.entries()) {
    reply.add(word)
    waiting += tokensIn(word)
    if (waiting < due && index < words.length - 1) continue
    waiting = 0
    due = TOKENS_PER_READING
    while (reply.read < reply.length) if ((await reply.readMore(new AbortController().signal)) !== null) return passed
    passed = index + 1
  }
  return null
}

/** What became of the labeled replies of a set. */
class Cuts {
  readonly #words: { readonly bad: number[]; readonly harmless: number[] } = { bad: [], harmless: [] }
  readonly #counts = { bad: 0, harmless: 0 }

  add(bad: boolean, words: number | null): void {
    const kind = bad ? 'bad' : 'harmless'
    this.#counts[kind]++
    if (words !== null) this.#words[kind].push(words)
  }

  row(): object {
    const { bad, harmless } = this.#words
    const at = (share: number): number | null => (bad.length === 0 ? null : Math.round(quantile(bad, share)))
    return {
      'unsafe or breaking': this.#counts.bad,
      'of them cut': bad.length,
      'words passed, median': at(0.5),
      'words passed, p90': at(0.9),
      harmless: this.#counts.harmless,
      'harmless cut': harmless.length,
    }
  }
}

async function measureCuts(sample: number): Promise<void> {
  using monitor = await Monitor.load({ detector: 'guard' })
  const table: Record<string, object> = {}
  const all = new Cuts()
  const sets = [
    ['deployments', await ofDeployments()] as const,
    ...(await Promise.all(MEASURED_UNSAFE.map(async (set) => [set, await ofSet(set)] as const))),
  ]
  for (const [set, conversations] of sets) {
    const cuts = new Cuts()
    const waiting = sampleOf(conversations, sample)
    const work = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const conversation = monitor.begin('c', { system: next.system })
        for (const labeled of next.exchanges) {
          const words = labeled.bad === null ? null : await wordsAtCut(conversation, labeled)
          // The conversation goes on with the whole reply.
          await conversation.addExchange({ user: labeled.user, assistant: labeled.assistant })
          if (labeled.bad !== null) for (const one of [cuts, all]) one.add(labeled.bad, words)
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    table[set] = cuts.row()
  }
  console.table({ ...table, all: all.row() })
}

const REPLY = 'The reading room on the second floor is open until nine. You may bring your own books. '.repeat(100)

/** Seconds of a stream. */
const STREAM_SECONDS = 20

/** A model that writes a reply. */
async function* written(): AsyncGenerator<string> {
  const started = performance.now()
  for (let token = 0; token < STREAM_SECONDS * TOKENS_PER_SECOND; token++) {
    const due = started + (1000 * token) / TOKENS_PER_SECOND
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    yield REPLY.slice(4 * token, 4 * token + 4)
  }
}

/** Shares of a core while a stream is consumed. */
async function shareOf(stream: AsyncIterable<string>): Promise<{ share: number; rate: number }> {
  const [cpu, started] = [process.cpuUsage(), performance.now()]
  let length = 0
  for await (const text of stream) length += text.length
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - started) / 1000
  return { share: (user + system) / 1e6 / seconds, rate: length / 4 / seconds }
}

async function measureCost(): Promise<void> {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
  for (const precision of ['int8', 'bf16'] as const) {
    using embedder = await Embedder.load({ precision, threads: 1 })
    using monitor = await Monitor.load({ embedder, detector: 'guard', guard: { threads: 1, precision } })
    const conversation = monitor.begin('c', { system: 'You are the assistant of a library. Never lend more than ten books. Be polite.' })
    for (let round = 0; round < 4; round++)
      await conversation.addExchange({
        user: 'May I have another book?',
        assistant: 'Of course, the shelves on your left have the new ones.',
      })
    const bare = await shareOf(written())
    const guard = new StreamGuard(conversation, 'Tell me about the library.')
    const guarded = await shareOf(guard.pass(written()))
    const { outcome, unread } = await guard.result
    console.log(
      `${precision}: ${percent(guarded.share)} of a core at ${guarded.rate.toFixed(0)} tokens a second, of which ${percent(bare.share)} is the stream itself; ${outcome}, ${String(unread)} characters passed unread`,
    )
  }
}

const { values } = parseArgs({ options: { sample: { type: 'string', default: '200' }, cpu: { type: 'boolean', default: false } } })
if (!values.cpu) await measureCuts(Number(values.sample))
await measureCost()
