// Owns `gabion monitor`: conversations in, one judged turn after the other out. How turns look is in the files beside.

import { Command, Option } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { DEFAULT_DETECTOR, DETECTORS, Monitor, type DetectorName, type MonitorOptions } from '../monitor/monitor.js'
import { watchConversations, watchEvents, type ConversationSummary, type WatchItem } from '../monitor/watch.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { EXIT_ALERT } from './failure.js'
import { LatencySplit } from './latency-split.js'
import { MonitorView } from './monitor-view.js'
import { Progress } from './progress.js'
import { followFile, readConversations } from './turn-feed.js'
import { TurnFiles } from './turn-files.js'
import { toTurnLine } from './turn-line.js'
import { count } from './wording.js'

interface MonitorFlags extends EmbedderFlags {
  detector?: DetectorName
  preset?: 'demo' | 'deployment'
  safeText?: string
  projection?: string
  artefact?: string
  out?: string
  follow?: boolean
  failOnAlert?: boolean
}

/** The command `monitor`. */
export function monitorCommand(): Command {
  const command = new Command('monitor')
    .summary('watch conversations for eroding guardrails, turn by turn')
    .description('Judges every turn of conversations and shows state, likelihood, drift, acceleration, ratio and why.')
    .argument('<file...>', 'transcripts: JSON, JSON lines or CSV; - for standard input')
    .addOption(
      new Option('-d, --detector <name>', 'which detector judges')
        .choices(DETECTORS)
        .default(undefined, `"${DEFAULT_DETECTOR}", or "classic" with one of its settings`),
    )
    .option('--artefact <file>', 'erosion: a detector made by "gabion detector train" or "calibrate" (default: the bundled one)')
    .addOption(new Option('--preset <name>', 'classic: which published weights (default: "demo")').choices(['demo', 'deployment']))
    .option('--safe-text <text>', 'classic: a reply that is safe ground, such as a refusal')
    .option('--projection <file>', 'classic: a projection saved by "gabion pca fit" (default: the bundled one)')
    .option('-o, --out <folder>', 'also write turns.csv and turns.json into a folder')
    .option('-f, --follow', 'lines are still being written: judge each exchange as it arrives')
    .option('--fail-on-alert', 'exit code 3 if an alert was raised')
  return finishCommand<MonitorFlags>(
    addEmbedderOptions(command),
    [
      'gabion monitor conversation.json',
      'gabion monitor --json --fail-on-alert logs/*.jsonl > turns.jsonl',
      'tail -n +1 -f chat.jsonl | gabion monitor --follow -',
    ],
    run,
  )
}

async function run(context: Context, flags: MonitorFlags, files: string[]): Promise<number> {
  const { output } = context
  if (flags.follow === true && files.length > 1) throw new GabionError('INVALID_ARGUMENT', `--follow takes one file, got ${files.length}`)
  using embedder = await openEmbedder(flags)
  const monitor = await openMonitor(embedder, flags)
  const written = flags.out === undefined ? null : await TurnFiles.create(flags.out)
  const view = new MonitorView(output)
  const progress = process.stdout.isTTY ? null : new Progress(output, 'judging', 'turns', null)
  const summaries: ConversationSummary[] = []
  const latency = new LatencySplit()
  const startedAt = performance.now()
  try {
    for await (const item of judged(context, flags, files, { monitor, view })) {
      if (item.kind === 'summary') {
        summaries.push(item.summary)
        await view.end(item.summary)
        continue
      }
      const line = toTurnLine(item.verdict)
      latency.add(line.timings)
      await written?.append(line)
      await view.turn(line)
      progress?.update(0, latency.turns)
    }
    await written?.complete(summaries)
  } finally {
    progress?.stop()
    await written?.discard()
  }
  await view.close(summaries, latency, (performance.now() - startedAt) / 1000, engineOf(embedder))
  return flags.failOnAlert === true && summaries.some(({ alerts }) => alerts > 0) ? EXIT_ALERT : 0
}

async function openMonitor(embedder: Embedder, flags: MonitorFlags): Promise<Monitor> {
  const { preset, safeText, projection, artefact } = flags
  const classic: NonNullable<MonitorOptions['classic']> = {}
  if (preset !== undefined) classic.preset = preset
  if (safeText !== undefined) classic.safeText = safeText
  if (projection !== undefined) classic.projection = projection
  return Monitor.open({
    embedder,
    ...(flags.detector !== undefined && { detector: flags.detector }),
    ...(Object.keys(classic).length > 0 && { classic }),
    ...(artefact !== undefined && { erosion: { artefact } }),
  })
}

/** Verdicts and summaries of what is read or followed. Following ends with the interruption, so it is no failure there. */
function judged(
  { signal }: Context,
  flags: MonitorFlags,
  files: readonly string[],
  { monitor, view }: { monitor: Monitor; view: MonitorView },
): AsyncGenerator<WatchItem> {
  const [first = '-'] = files
  if (flags.follow === true) return watchEvents(monitor, followFile(first, signal))
  const conversations = readConversations(files, ({ id, exchanges }, source) => {
    view.announce(id, `${source}, ${count(exchanges.length, 'exchange')}`)
  })
  return watchConversations(monitor, conversations, { signal })
}

function engineOf({ info }: Embedder): string {
  return `${info.model} ${info.precision} on ${info.provider} (${info.instructionSet}), ${count(info.threads, 'thread')}`
}
