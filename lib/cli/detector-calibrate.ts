// Owns `gabion detector calibrate`: its options, and thresholds of the erosion detector, once or continuously.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { ErosionArtifact } from '../detection/erosion/artifact.js'
import { readArtifact, writeArtifact } from '../detection/erosion/artifact-file.js'
import { LiveCalibration } from '../detection/erosion/live-calibration.js'
import { EROSION_ARTIFACTS } from '../detection/erosion/load-erosion.js'
import { BUDGETS, type Threshold } from '../detection/erosion/thresholds.js'
import type { ConversationLogits } from '../detection/training/conversation-scores.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context } from './command.js'
import { GabionError } from '../errors.js'
import { addCache, readSets } from './detector-sets.js'
import { writeWhole } from '../files/pending-file.js'
import { calibrateGuard, type GuardCalibrationFlags } from './guard-calibrate.js'
import { addTranscriptOptions } from './transcript-options.js'
import { count } from './wording.js'

interface CalibrateFlags extends GuardCalibrationFlags {
  detector?: 'guard' | 'erosion'
  artifact?: string
  cache?: string
  live?: string
  revert?: boolean
}

/** The subcommand `calibrate`. */
export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .summary("set thresholds on a deployment's own benign conversations")
    .description(
      'Sets the lines of a detector so that at most a given fraction of benign conversations reaches them, with a confidence bound. With --live (erosion): adapts them to the traffic of a deployment, within bounds, at each call.',
    )
    .argument('[file...]', 'benign conversations: transcripts in any form that "gabion transcripts" lists (erosion: as for "train")')
    .requiredOption('-o, --out <file>', 'output file, for --guard-lines (erosion: for --artifact)')
    .addOption(
      new Option('-d, --detector <name>', 'the detector to calibrate')
        .choices(['guard', 'erosion'])
        .default(undefined, '"guard", or "erosion" where its settings are given'),
    )
    .option('--system <file>', "guard: system prompt of the conversations that have none of their own: the assistant's rules")
    .option('--guard-model <folder>', 'guard: a folder with guard.json and weights (default: the bundled one)')
    .option('--artifact <file>', 'erosion: the artifact to calibrate (default: the bundled one)')
    .option('--alert <share>', 'benign conversations that may raise an alert', parseShare, BUDGETS.alert)
    .option('--elevated <share>', 'benign conversations that may become elevated', parseShare, BUDGETS.elevated)
    .option(
      '--live <file>',
      "erosion: follow traffic: add the files' conversations to the latest 2,000 stored here, and move the thresholds by at most half a benign standard deviation up and one down from their start",
    )
    .option('--revert', 'with --live: discard all traffic and return to the initial thresholds')
  return finishCommand<CalibrateFlags>(
    addEmbedderOptions(addTranscriptOptions(addCache(command))),
    [
      'gabion detector calibrate benign.jsonl --system prompt.md --alert 0.01 --out ours.json',
      'gabion monitor --guard-lines ours.json --system prompt.md chat.json',
      'gabion detector calibrate today.jsonl --artifact ours.json --live traffic.json --out live.json',
      'gabion detector calibrate --artifact ours.json --live traffic.json --revert --out live.json',
    ],
    calibrate,
  )
}

async function calibrate(context: Context, flags: CalibrateFlags, files: string[]): Promise<number | undefined> {
  const { live, revert = false } = flags
  if (revert && live === undefined) throw new GabionError('INVALID_ARGUMENT', '--revert requires --live')
  if (revert && files.length > 0) throw new GabionError('INVALID_ARGUMENT', '--revert takes no conversations')
  if (!revert && files.length === 0) throw new GabionError('INVALID_ARGUMENT', 'pass one or more files of benign conversations')
  const isErosion = [flags.artifact, live, flags.cache].some((setting) => setting !== undefined)
  if ((flags.detector ?? (isErosion ? 'erosion' : 'guard')) === 'guard') {
    if (isErosion) throw new GabionError('INVALID_ARGUMENT', '--artifact, --live and --cache belong to --detector erosion')
    return await calibrateGuard(context, flags, files)
  }
  const { byConversation, logitsAtRunTime, thresholdsFrom } = await import('../detection/training/index.js')
  const artifact = await readArtifact(flags.artifact ?? EROSION_ARTIFACTS.default)
  using embedder = await openEmbedder(flags, { cache: false })
  const sets = await readSets(context, embedder, flags, artifact, files, 'safe')
  const all = sets.flatMap(({ exchanges }) => exchanges)
  const unsafe = new Set(all.filter(({ label }) => label === 'unsafe').map(({ conversation }) => conversation))
  if (unsafe.size > 0) context.output.warn(`${count(unsafe.size, 'conversation')} labeled unsafe, skipped`)
  const benign = all.filter(({ conversation }) => !unsafe.has(conversation))
  const conversations = byConversation(benign, logitsAtRunTime(artifact.head, benign, artifact.thresholds.scale.median))
  if (live !== undefined) {
    await follow(context, artifact, conversations, { state: live, out: flags.out, revert })
    return
  }
  const { model, modelHash, precision } = embedder.info
  const thresholds = thresholdsFrom(conversations, flags, {
    source: files.map((file) => basename(file)).join(', '),
    embedder: { model, hash: modelHash, precision },
  })
  await writeArtifact(flags.out, { ...artifact, thresholds })
  const { output } = context
  const { elevated, alert } = thresholds.levels.max
  if (output.json) await output.jsonLine({ file: flags.out, conversations: conversations.length, ...thresholds })
  else {
    for (const [name, threshold] of Object.entries({ alert, elevated })) await output.line(levelLine(name, threshold))
    await output.line(flags.out)
  }
}

/** Adapts the thresholds to the traffic stored in a file, and writes both. */
async function follow(
  { output }: Context,
  artifact: ErosionArtifact,
  conversations: readonly ConversationLogits[],
  { state, out, revert }: { state: string; out: string; revert: boolean },
): Promise<void> {
  const { highestStatistic } = await import('../detection/training/index.js')
  const live = existsSync(state)
    ? LiveCalibration.parse(await readFile(state, 'utf8'), state)
    : new LiveCalibration(artifact.thresholds, 'max')
  const { hash, precision } = artifact.thresholds.embedder
  if (live.base.embedder.hash !== hash || live.base.embedder.precision !== precision) {
    throw new GabionError('ARTIFACT_INVALID', `${state} has thresholds of another embedder than the detector's: start with a new file`)
  }
  if (revert) live.revert()
  for (const conversation of conversations) live.add(highestStatistic(conversation, live.base.scale, 'max'))
  const thresholds = live.thresholds()
  await writeArtifact(out, { ...artifact, thresholds })
  await writeWhole(state, `${JSON.stringify(live)}\n`)
  const watch = live.watch()
  const { elevated, alert } = thresholds.levels.max
  if (output.json) {
    await output.jsonLine({ file: out, state, ...watch, ...thresholds })
    return
  }
  const start = live.base.levels.max
  if (thresholds === live.base) {
    await output.line(
      `the initial thresholds are in force: alert ${start.alert.value.toFixed(3)}, elevated ${start.elevated.value.toFixed(3)}`,
    )
  } else {
    await output.line(`${levelLine('alert', alert)}; initially ${start.alert.value.toFixed(3)}`)
    await output.line(`${levelLine('elevated', elevated)}; initially ${start.elevated.value.toFixed(3)}`)
  }
  if (watch.held.length > 0)
    output.warn(`the traffic requires a larger change of ${watch.held.join(' and ')} than is allowed: calibrate again`)
  if (watch.suspicious) {
    output.warn(
      `${String(watch.reached)} of ${count(watch.conversations, 'conversation')} reach the initial alert threshold, more than its budget explains: look at them, or return with --revert`,
    )
  }
  await output.line(out)
}

function levelLine(name: string, { value, budget, reached, conversations, upperBound }: Threshold): string {
  return `${name}: score ${value.toFixed(3)} for a budget of ${(100 * budget).toFixed(1)} %; ${String(reached)} of ${count(conversations, 'benign conversation')} reach it, at most ${(100 * upperBound).toFixed(1)} % (95 %, Clopper-Pearson)`
}

function parseShare(value: string): number {
  const share = Number(value)
  if (value.trim() === '' || !(share > 0 && share < 1)) throw new InvalidArgumentError('Expected a share between 0 and 1, such as 0.01.')
  return share
}
