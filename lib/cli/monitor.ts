// Owns `gabion monitor`: judges the exchanges of conversations. Output formats are in other files.

import { join } from 'node:path'
import { Command, Option } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { DEFAULT_DETECTOR, type Monitor, type MonitorOptions } from '../monitor/monitor.js'
import type { ConversationSummary } from '../monitor/watch.js'
import { readOptions } from '../transcripts/options.js'
import { factsOf, type ReportFacts } from '../report/conversation-record.js'
import { addAlertQueueOptions, type AlertQueueFlags } from './alert-options.js'
import { FollowAlerts } from './follow-alerts.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { addDetectorOptions } from './detector-options.js'
import { addJudgingOptions, openMonitor, systemOf, type JudgingFlags } from './judging-options.js'
import { judgedInput } from './monitor-input.js'
import { FollowJournal } from './follow-state.js'
import { addTranscriptOptions, ReadingProblems, type TranscriptFlags } from './transcript-options.js'
import { EXIT_ALERT } from './failure.js'
import { LatencySplit, MonitorView } from './monitor-view.js'
import type { Output } from './output.js'
import { Progress, ProgressSteps } from './progress.js'
import { ReportFiles, type ReportProgress } from './report-files.js'
import { checkReadable } from './exchange-feed.js'
import { ExchangeFiles } from './exchange-files.js'
import { toExchangeVerdict } from '../detection/verdict.js'
import { wordless } from '../detection/wordless.js'
import { count } from './wording.js'

interface MonitorFlags extends EmbedderFlags, JudgingFlags, AlertQueueFlags, TranscriptFlags {
  preset?: 'demo' | 'deployment'
  safeText?: string
  projection?: string
  report?: string
  withText?: boolean
  texts: boolean
  out?: string
  follow?: boolean
  state?: string
  failOnAlert?: boolean
}

/** The command `monitor`. */
export function monitorCommand(): Command {
  const command = addJudgingOptions(
    addDetectorOptions(new Command('monitor'), { fallback: `"${DEFAULT_DETECTOR}", or the one whose settings are given` }),
  )
    .summary('monitor conversations for guardrail erosion, exchange by exchange')
    .description('Judges every exchange of conversations and shows level, likelihood, drift, acceleration, ratio and reasons.')
    .argument('<file...>', 'transcripts in any form that "gabion transcripts" lists; - for standard input')
    .addOption(new Option('--preset <name>', 'classic: published weights (default: "demo")').choices(['demo', 'deployment']))
    .option('--safe-text <text>', 'classic: a safe reference reply, such as a refusal')
    .option('--projection <file>', 'classic: a projection of "gabion pca fit" (default: the bundled one)')
    .option('--report <file>', 'also write a page: which exchange went wrong and why (self-contained HTML)')
    .option('--with-text', "include the conversations' texts in the report")
    .option('--no-texts', 'keep texts, rules and sentences out of output, alerts and report')
    .option('-o, --out <folder>', 'also write exchanges.csv, exchanges.json and pictures of the most severe conversations into a folder')
    .option('-f, --follow', 'follow a growing file: judge each exchange as it arrives')
    .option('--state <file>', 'with --follow: remember position and conversations, and continue there after a restart')
    .option('--fail-on-alert', 'exit code 3 if an alert was raised')
  return finishCommand<MonitorFlags>(
    addAlertQueueOptions(addEmbedderOptions(addTranscriptOptions(command))),
    [
      'gabion monitor conversation.json',
      'gabion monitor conversation.json --report report.html --with-text',
      'gabion monitor --json --fail-on-alert logs/*.jsonl > exchanges.jsonl',
      'gabion monitor --follow chat.jsonl --state chat.state',
      "gabion monitor tickets.csv --map 'conversation=ticket,role=author,text=body' --assistant-is agent,bot",
      'tail -n +1 -f chat.jsonl | gabion monitor --follow -',
    ],
    run,
  )
}

async function run(context: Context, flags: MonitorFlags, files: string[]): Promise<number> {
  const { output } = context
  const system = await systemOf(flags)
  if (flags.follow === true && files.length > 1) throw new GabionError('INVALID_ARGUMENT', `--follow takes one file, got ${files.length}`)
  if (flags.state !== undefined && flags.follow !== true) throw new GabionError('INVALID_ARGUMENT', '--state requires --follow')
  const problems = new ReadingProblems(output, flags.strict === true)
  const reading = problems.options(flags)
  readOptions(reading)
  await checkReadable(files)
  const journal = flags.state === undefined ? null : await FollowJournal.open(flags.state)
  const alerts = await alertsOf(output, flags)
  const reports = await reportsOf(flags)
  using embedder = await openEmbedder(flags)
  const monitor = await loadMonitor(context, embedder, flags)
  const written = flags.out === undefined ? null : await ExchangeFiles.create(flags.out)
  const view = new MonitorView(output)
  const progress = process.stdout.isTTY ? null : new Progress(output, 'judging', 'exchanges', null)
  const summaries: ConversationSummary[] = []
  const latency = new LatencySplit()
  const startedAt = performance.now()
  try {
    const input = { follow: flags.follow === true, files, reading, journal, monitor, system, view, reports }
    for await (const item of judgedInput(context, input)) {
      if (item.kind === 'summary') {
        summaries.push(item.summary)
        reports?.end(item.summary)
        await view.end(item.summary)
        continue
      }
      const verdict = flags.texts ? item.verdict : wordless(item.verdict)
      reports?.add(verdict)
      await alerts?.add(verdict)
      const line = toExchangeVerdict(verdict)
      latency.add(line.timings)
      await written?.append(line)
      await view.exchange(line)
      progress?.update(0, latency.exchanges)
    }
    progress?.stop()
    const engine = engineOf(embedder)
    await view.close(summaries, latency, (performance.now() - startedAt) / 1000, engine)
    await written?.complete(summaries)
    if (reports !== null) await writeReports(context, reports, factsOf(monitor.detector, engine), flags)
  } finally {
    progress?.stop()
    await journal?.close()
    await written?.discard()
    await reports?.discard()
    await alerts?.close()
  }
  const exitCode = problems.close()
  return flags.failOnAlert === true && summaries.some((summary) => summary.alerts > 0) ? EXIT_ALERT : exitCode
}

/** Files that are judged once have an exit code and a report; who follows one may be asleep. */
async function alertsOf(output: Output, flags: MonitorFlags): Promise<FollowAlerts | null> {
  const told = [flags.alertWebhook, flags.alertSlack, flags.alertCommand].some((list) => list !== undefined)
  if (told && flags.follow !== true)
    throw new GabionError('INVALID_ARGUMENT', '--alert-webhook, --alert-slack and --alert-command require --follow')
  return await FollowAlerts.open(output, flags)
}

async function reportsOf({ report, out, withText, texts }: MonitorFlags): Promise<ReportFiles | null> {
  if (withText === true && !texts) throw new GabionError('INVALID_ARGUMENT', '--with-text and --no-texts contradict each other')
  if (withText === true && report === undefined) throw new GabionError('INVALID_ARGUMENT', '--with-text requires --report <file>')
  if (report === undefined && out === undefined) return null
  return ReportFiles.create({
    page: report ?? null,
    pictures: out === undefined ? null : join(out, 'panels'),
    withText: withText === true,
  })
}

async function writeReports(
  { output, signal }: Context,
  reports: ReportFiles,
  facts: ReportFacts,
  { report, out, follow }: MonitorFlags,
): Promise<void> {
  const steps = new ProgressSteps(output)
  const onProgress: ReportProgress = (step) => {
    // Following ends with the interruption, and its report is written after that.
    if (follow !== true) signal.throwIfAborted()
    steps.report(step)
  }
  const { pages, pictures, noRasterizer } = await reports.write(facts, onProgress).finally(() => {
    steps.stop()
  })
  if (report !== undefined) output.note(`report: ${report}${pages > 1 ? `, and ${count(pages - 1, 'page')} next to it` : ''}`)
  if (out === undefined) return
  output.note(
    noRasterizer
      ? `${out}: no pictures, since @resvg/resvg-js is not installed (npm install @resvg/resvg-js)`
      : `${out}: ${count(pictures, 'picture')} in ${join(out, 'panels')}`,
  )
}

async function loadMonitor({ output, signal }: Context, embedder: Embedder, flags: MonitorFlags): Promise<Monitor> {
  const { preset, safeText, projection } = flags
  const classic: NonNullable<MonitorOptions['classic']> = {}
  if (preset !== undefined) classic.preset = preset
  if (safeText !== undefined) classic.safeText = safeText
  if (projection !== undefined) classic.projection = projection
  using steps = new ProgressSteps(output)
  return await openMonitor(embedder, flags, { signal, onProgress: steps.report, classic })
}

function engineOf({ info }: Embedder): string {
  return `${info.model} ${info.precision} on ${info.provider} (${info.instructionSet}), ${count(info.threads, 'thread')}`
}
