// Owns `gabion detector calibrate` of the guard: its lines from a deployment's own benign conversations.

import { basename } from 'node:path'
import type { GuardDetector, GuardState, GuardVerdict } from '../detection/guard/guard-detector.js'
import {
  formatCalibratedLines,
  linesFor,
  NOTHING_REACHED,
  withExchange,
  type CalibratedLevel,
  type ConversationExtremes,
} from '../detection/guard/lines.js'
import { loadGuardDetector } from '../detection/guard/load-guard.js'
import { FULL_STRENGTH } from '../detection/guard/strength.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { writeWhole } from '../files/pending-file.js'
import { Monitor } from '../monitor/monitor.js'
import { watchConversations } from '../monitor/watch.js'
import { readOptions, type TranscriptOptions } from '../transcripts/options.js'
import { openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { checkReadable, readConversations } from './exchange-feed.js'
import { systemOf } from './judging-options.js'
import { Progress } from './progress.js'
import { ReadingProblems, type TranscriptFlags } from './transcript-options.js'
import { count } from './wording.js'

/** Flags of `gabion detector calibrate` that the guard reads. */
export interface GuardCalibrationFlags extends EmbedderFlags, TranscriptFlags {
  out: string
  alert: number
  elevated: number
  system?: string
  guardModel?: string
}

/** Judges the conversations, sets the lines by what they reach, and writes them. */
export async function calibrateGuard(context: Context, flags: GuardCalibrationFlags, files: readonly string[]): Promise<number> {
  const { output } = context
  const { alert, elevated } = flags
  if (elevated < alert)
    throw new GabionError('INVALID_ARGUMENT', `--elevated must be at least --alert, got ${String(elevated)} and ${String(alert)}`)
  const problems = new ReadingProblems(output, flags.strict === true)
  const reading = problems.options(flags)
  readOptions(reading)
  await checkReadable(files)
  const system = await systemOf(flags)
  using embedder = await openEmbedder(flags, { cache: false })
  using detector = await loadGuard(embedder, flags.guardModel)
  const monitor = await Monitor.load({ embedder, detector })
  const conversations = await reachedBy(context, monitor, files, reading, system)
  if (conversations.length === 0) throw new GabionError('INVALID_ARGUMENT', 'the files hold no conversation with an exchange')
  const { lines, levels } = linesFor(conversations, { alert, elevated }, detector.description.lines.kept)
  const calibrated = { ...detector.identity!, source: files.map((file) => basename(file)).join(', '), lines, levels }
  await writeWhole(flags.out, formatCalibratedLines(calibrated))
  if (output.json) await output.jsonLine({ file: flags.out, conversations: conversations.length, ...calibrated })
  else {
    for (const name of ['alert', 'elevated'] as const) {
      const measures = Object.entries(lines[name]).map(([measure, line]) => `${measure} ${Number(line).toFixed(3)}`)
      await output.line(`${name}: ${measures.join(', ')}; ${outcome(levels[name])}`)
    }
    await output.line(flags.out)
  }
  for (const { budget } of Object.values(levels)) {
    if (Math.floor(budget * conversations.length) === 0)
      output.warn(
        `${count(conversations.length, 'conversation')} cannot show a budget of ${percent(budget)}: the lines lie above all of them`,
      )
  }
  return problems.close()
}

function loadGuard(embedder: Embedder, folder: string | undefined): Promise<GuardDetector> {
  return loadGuardDetector(embedder, folder === undefined ? {} : { folder })
}

/** What each conversation of the files reaches. */
async function reachedBy(
  { output, signal }: Context,
  monitor: Monitor<GuardState, GuardVerdict>,
  files: readonly string[],
  reading: TranscriptOptions,
  system: string | null,
): Promise<ConversationExtremes[]> {
  const reached = new Map<string, { extremes: ConversationExtremes; strength: number }>()
  let exchanges = 0
  using progress = new Progress(output, 'judging', 'exchanges', null)
  for await (const item of watchConversations(
    monitor,
    readConversations(files, () => undefined, reading),
    { signal, system },
  )) {
    if (item.kind === 'summary') continue
    const { conversation, signals, strength: after } = item.verdict
    const { extremes, strength: before } = reached.get(conversation) ?? { extremes: NOTHING_REACHED, strength: FULL_STRENGTH }
    reached.set(conversation, { extremes: withExchange(extremes, { signals, before, after }), strength: after })
    progress.update(0, ++exchanges)
  }
  return Array.from(reached.values(), ({ extremes }) => extremes)
}

/** What the lines of a level keep, and how sure that is. */
function outcome({ reached, conversations, upperBound }: CalibratedLevel): string {
  return `reached by ${String(reached)} of ${count(conversations, 'benign conversation')}, at most ${percent(upperBound)} (95 %, Clopper-Pearson)`
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
