// Owns concurrent judging of many conversations: exchanges are embedded ahead so that no encoder thread idles, and verdicts are
// yielded in the order of the input. Knows neither files nor printing.

import type * as PMap from 'p-map'
import type { DetectorVerdict, ExchangeVerdict } from '../detection/verdict.js'
import { checkInteger, checkOptions, checkSignal } from '../options.js'
import { checkInstructions, type Instructions } from './context.js'
import type { Conversation } from './conversation.js'
import type { CheckpointEvent, FollowCheckpoint, FollowedEvent } from '../transcripts/follow.js'
import type { SavedConversation } from './saved-conversation.js'
import type { Monitor } from './monitor.js'
import type { TranscriptConversation, TranscriptExchange } from '../transcripts/transcript.js'
import { lazily } from '../lazy.js'

const mapping = lazily<typeof PMap>('p-map')

/** Summary of a conversation. */
export interface ConversationSummary {
  readonly conversation: string
  readonly exchanges: number
  /** Exchanges with an alert. */
  readonly alerts: number
  /** The first exchange with an alert; null without alerts. */
  readonly firstAlert: number | null
  /** Highest likelihood of an exchange, and that exchange; null without exchanges. */
  readonly highest: { readonly likelihood: number; readonly exchange: number } | null
  /** Exchanges with a truncated text. */
  readonly truncated: number
  /** User messages after the last reply. */
  readonly pending: number
  /** Corrections made while reading. */
  readonly notes: readonly string[]
}

/** Results of {@link watchConversations} and {@link watchEvents}. */
export type WatchItem<Verdict extends DetectorVerdict = DetectorVerdict> =
  | { readonly kind: 'verdict'; readonly verdict: ExchangeVerdict<Verdict> }
  | { readonly kind: 'summary'; readonly summary: ConversationSummary }

/** A result of {@link watchWithCheckpoints}. */
export interface CheckpointItem {
  readonly kind: 'checkpoint'
  readonly checkpoint: WatchCheckpoint
}

/** Everything that watching continues from, after the verdicts before it; plain JSON. */
export interface WatchCheckpoint {
  readonly follow: FollowCheckpoint
  /** Conversations with exchanges since the last checkpoint. */
  readonly conversations: readonly WatchedConversation[]
}

/** A conversation between two exchanges, and its summary so far. */
export interface WatchedConversation {
  readonly saved: SavedConversation
  readonly summary: ConversationSummary
}

/** Options of {@link watchConversations} and {@link watchEvents}. */
export interface WatchOptions extends Instructions {
  /** Exchanges in flight, over all conversations; default four per encoder thread. */
  exchangesInFlight?: number
  signal?: AbortSignal
}

/** Enough that threads have work while verdicts wait for an earlier, long text. */
const EXCHANGES_PER_THREAD = 4

/**
 * Judges whole conversations: verdicts in the order of the input, each conversation followed by its summary. Exchanges of
 * several conversations are in flight at once; memory is bounded by `exchangesInFlight`.
 *
 * @throws GabionError the errors of the input, of embedding and of the detector, after the verdicts before them
 */
export function watchConversations<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  conversations: AsyncIterable<TranscriptConversation> | Iterable<TranscriptConversation>,
  options?: WatchOptions,
): AsyncGenerator<WatchItem<Verdict>> {
  return watch(monitor, steps(monitor, conversations, options), options) as AsyncGenerator<WatchItem<Verdict>>
}

/**
 * Judges exchanges as they arrive; at the end of the stream, yields a summary of every conversation.
 *
 * @throws GabionError as {@link watchConversations}
 */
export function watchEvents<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  events: AsyncIterable<FollowedEvent>,
  options?: WatchOptions,
): AsyncGenerator<WatchItem<Verdict>> {
  return watch(monitor, followedSteps(monitor, events, options, []), options) as AsyncGenerator<WatchItem<Verdict>>
}

/**
 * Judges exchanges as {@link watchEvents} does. A checkpoint among the events comes out after all verdicts before it, with the state in
 * which the conversations were then.
 *
 * @param from conversations of an earlier checkpoint, which are continued
 * @throws GabionError as {@link watchConversations}; `ARTIFACT_INVALID` for a conversation that another detector judged
 */
export function watchWithCheckpoints<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  events: AsyncIterable<FollowedEvent | CheckpointEvent>,
  from: readonly WatchedConversation[],
  options?: WatchOptions,
): AsyncGenerator<WatchItem<Verdict> | CheckpointItem> {
  return watch(monitor, followedSteps(monitor, events, options, from), options, from)
}

/** One exchange to judge, or the end of a conversation. */
type Step<State, Verdict extends DetectorVerdict> =
  | { conversation: Conversation<State, Verdict>; exchange: TranscriptExchange }
  | { conversation: Conversation<State, Verdict>; pending: number; notes: readonly string[] }
  | { conversation: null; follow: FollowCheckpoint }

async function* steps<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  conversations: AsyncIterable<TranscriptConversation> | Iterable<TranscriptConversation>,
  options: WatchOptions | undefined,
): AsyncGenerator<Step<State, Verdict>> {
  const instructions = instructionsOf(options)
  for await (const { id, exchanges, pending, notes } of conversations) {
    const conversation = monitor.begin(id, instructions)
    for (const exchange of exchanges) yield { conversation, exchange }
    yield { conversation, pending: pending.length, notes }
  }
}

async function* followedSteps<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  events: AsyncIterable<FollowedEvent | CheckpointEvent>,
  options: WatchOptions | undefined,
  from: readonly WatchedConversation[],
): AsyncGenerator<Step<State, Verdict>> {
  const instructions = instructionsOf(options)
  const begun = new Map<string, { conversation: Conversation<State, Verdict>; pending: number }>()
  for (const { saved } of from) {
    const conversation = monitor.restore(saved)
    // This stream holds its conversations itself.
    monitor.forget(conversation.id)
    begun.set(conversation.id, { conversation, pending: 0 })
  }
  for await (const event of events) {
    if (event.kind === 'checkpoint') {
      yield { conversation: null, follow: event.checkpoint }
      continue
    }
    const entry = begun.get(event.conversation) ?? { conversation: monitor.begin(event.conversation, instructions), pending: 0 }
    begun.set(event.conversation, entry)
    if (event.kind === 'exchange') yield { conversation: entry.conversation, exchange: event.exchange }
    else entry.pending = event.pending.length
  }
  for (const { conversation, pending } of begun.values()) yield { conversation, pending, notes: [] }
}

/** A step whose exchange is being judged; at a checkpoint, the conversations that changed since the last one. */
interface Begun<State, Verdict extends DetectorVerdict> {
  readonly step: Step<State, Verdict>
  readonly verdict: Promise<ExchangeVerdict<Verdict>> | null
  readonly changed: readonly { readonly conversation: Conversation<State, Verdict>; readonly saved: SavedConversation }[]
}

async function* watch<State, Verdict extends DetectorVerdict>(
  monitor: Monitor<State, Verdict>,
  input: AsyncGenerator<Step<State, Verdict>>,
  options: WatchOptions | undefined,
  from: readonly WatchedConversation[] = [],
): AsyncGenerator<WatchItem<Verdict> | CheckpointItem> {
  const given = checkOptions('options', options, ['exchangesInFlight', 'signal', 'system', 'rules'])
  const exchangesInFlight = checkInteger(
    'exchangesInFlight',
    given.exchangesInFlight ?? EXCHANGES_PER_THREAD * Math.max(1, monitor.embedder.info.threads),
    1,
  )
  const exchangeOptions = given.signal === undefined ? {} : { signal: checkSignal('signal', given.signal) }

  const begin = (
    conversation: Conversation<State, Verdict>,
    { system, ...exchange }: TranscriptExchange,
  ): Promise<ExchangeVerdict<Verdict>> =>
    conversation.addExchange(exchange, { ...exchangeOptions, ...(system !== undefined && { system }) })

  // Exchanges begin where the input is read, so that those of one conversation begin in order.
  async function* begun(): AsyncGenerator<Begun<State, Verdict>> {
    const last = new Map<Conversation<State, Verdict>, Promise<unknown>>()
    for await (const step of input) {
      const verdict = 'exchange' in step ? begin(step.conversation, step.exchange) : null
      // The consumer of the results gets the rejection, unless it has stopped; then it must not count as unhandled.
      verdict?.catch(() => undefined)
      if (step.conversation === null) {
        // Nothing begins until all that was read is judged: only then are the conversations in the state that belongs to it.
        await Promise.allSettled(last.values())
        yield { step, verdict, changed: Array.from(last.keys(), (conversation) => ({ conversation, saved: conversation.toJSON() })) }
        last.clear()
        continue
      }
      if (verdict !== null) last.set(step.conversation, verdict)
      yield { step, verdict, changed: [] }
    }
  }

  const continued = new Map(from.map(({ saved: { id }, summary }) => [id, summary]))
  const summaries = new Map<Conversation<State, Verdict>, ConversationSummary>()
  const summaryOf = (conversation: Conversation<State, Verdict>): ConversationSummary =>
    summaries.get(conversation) ?? continued.get(conversation.id) ?? emptySummary(conversation.id)
  const settled = mapping().pMapIterable(begun(), async ({ step, verdict, changed }) => ({ step, verdict: await verdict, changed }), {
    concurrency: exchangesInFlight,
  })
  for await (const { step, verdict, changed } of settled) {
    if (step.conversation === null) {
      const conversations = changed.map(({ conversation, saved }) => ({ saved, summary: summaryOf(conversation) }))
      yield { kind: 'checkpoint', checkpoint: { follow: step.follow, conversations } }
      continue
    }
    const summary = summaryOf(step.conversation)
    if (verdict !== null) {
      summaries.set(step.conversation, withVerdict(summary, verdict))
      yield { kind: 'verdict', verdict }
    } else if ('pending' in step) {
      summaries.delete(step.conversation)
      yield { kind: 'summary', summary: { ...summary, pending: step.pending, notes: step.notes } }
    }
  }
}

/** In force where a transcript has no system prompt of its own. */
function instructionsOf(options: WatchOptions | undefined): Instructions {
  return checkInstructions({ system: options?.system, rules: options?.rules })
}

function emptySummary(conversation: string): ConversationSummary {
  return { conversation, exchanges: 0, alerts: 0, firstAlert: null, highest: null, truncated: 0, pending: 0, notes: [] }
}

function withVerdict(summary: ConversationSummary, { alert, exchange, likelihood, truncated }: ExchangeVerdict): ConversationSummary {
  return {
    ...summary,
    exchanges: summary.exchanges + 1,
    alerts: summary.alerts + Number(alert),
    firstAlert: summary.firstAlert ?? (alert ? exchange : null),
    highest: summary.highest === null || likelihood > summary.highest.likelihood ? { likelihood, exchange } : summary.highest,
    truncated: summary.truncated + Number(truncated),
  }
}
