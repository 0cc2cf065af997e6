// Owns what `gabion monitor` judges: files one after the other, or one that grows, from where the run before ended.

import { sourceName } from '../files/lines.js'
import type { Monitor } from '../monitor/monitor.js'
import { watchConversations, watchEvents, watchWithCheckpoints, type WatchItem } from '../monitor/watch.js'
import type { FollowedEvent } from '../transcripts/follow.js'
import { STANDARD_INPUT, type TranscriptOptions } from '../transcripts/transcript.js'
import type { Context } from './command.js'
import { followFile, followInput, readConversations } from './exchange-feed.js'
import type { FollowJournal } from './follow-state.js'
import { FollowedFile } from './followed-file.js'
import type { MonitorView } from './monitor-view.js'
import type { ReportFiles } from './report-files.js'
import { count } from './wording.js'

/** The input of the command, and what is made of it. */
export interface MonitorInput {
  follow: boolean
  files: readonly string[]
  reading: TranscriptOptions
  journal: FollowJournal | null
  view: MonitorView
  reports: ReportFiles | null
  monitor: Monitor
  system: string | null
}

/** Verdicts and summaries of the input. An interruption is the normal end of following, not a failure. */
export function judgedInput(context: Context, input: MonitorInput): AsyncGenerator<WatchItem> {
  const { signal } = context
  const { follow, files, reading, journal, view, reports, monitor, system } = input
  const [first = STANDARD_INPUT] = files
  if (follow && journal !== null) return journaled(context, first, { ...input, journal })
  if (follow) return watchEvents(monitor, recorded(followFile(first, signal, reading), reports), { system })
  const conversations = readConversations(
    files,
    ({ id, exchanges }, source) => {
      view.announce(id, `${source}, ${count(exchanges.length, 'exchange')}`)
      for (const exchange of exchanges) reports?.read(id, exchange)
    },
    reading,
  )
  return watchConversations(monitor, conversations, { signal, system })
}

/** Follows from where the journal ends, and writes each checkpoint after the verdicts before it were printed. */
async function* journaled(
  { output, signal }: Context,
  file: string,
  { reading, journal, reports, monitor, system }: MonitorInput & { journal: FollowJournal },
): AsyncGenerator<WatchItem> {
  const { state } = journal
  if (state !== null) output.note(`continues ${count(state.conversations.length, 'conversation')} of the run before`)
  const followed = file === STANDARD_INPUT ? null : new FollowedFile(file, state?.position ?? null)
  const options = { ...reading, ...(state !== null && { from: state.follow }) }
  const events = recorded(followInput(followed, sourceName(file), signal, options), reports)
  for await (const item of watchWithCheckpoints(monitor, events, state?.conversations ?? [], { system })) {
    if (item.kind !== 'checkpoint') yield item
    else await journal.append(item.checkpoint, (await followed?.positionOf(item.checkpoint.follow.end - (state?.follow.end ?? 0))) ?? null)
  }
}

/** Passes events through, and records their texts for reports. */
async function* recorded<Event extends { kind: string }>(
  events: AsyncIterable<Event | FollowedEvent>,
  reports: ReportFiles | null,
): AsyncGenerator<Event | FollowedEvent> {
  for await (const event of events) {
    if (event.kind === 'exchange' && 'exchange' in event) reports?.read(event.conversation, event.exchange)
    yield event
  }
}
