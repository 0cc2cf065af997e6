// Owns the options of commands that judge conversations: detector, guard, and the judge that is asked about elevated exchanges.

import { Option, type Command } from 'commander'
import type { JudgeOptions } from '../detection/escalation/judge-client.js'
import { GUARD_MODES, type GuardMode } from '../detection/guard/load-guard.js'
import { GabionError } from '../errors.js'
import { DEFAULT_DETECTOR, DETECTORS, type DetectorName, type MonitorOptions } from '../monitor/monitor.js'

/** Flags of {@link addDetectorOptions}. */
export interface DetectorFlags {
  detector?: DetectorName
  artifact?: string
  guard?: GuardMode
  guardModel?: string
  guardLines?: string
  guardClassifier?: string
  unsafeLabel?: string[]
  judge?: string
  judgeModel?: string
}

/** In the place of a detector's name: judge nothing. */
export const NO_DETECTOR = 'none'

/** Environment variable with the judge's API key. */
const JUDGE_KEY = 'GABION_JUDGE_API_KEY'

/** Adds the options; `optional` allows no detector. */
export function addDetectorOptions(command: Command, { fallback = `"${DEFAULT_DETECTOR}"`, optional = false } = {}): Command {
  const choices = optional ? [...DETECTORS, NO_DETECTOR] : DETECTORS
  return command
    .addOption(
      new Option('-d, --detector <name>', optional ? 'the detector; "none" serves vectors only' : 'the detector')
        .choices(choices)
        .default(undefined, fallback),
    )
    .addOption(
      new Option('--guard <mode>', 'exchanges that the guard reads: "always", "suspicious" (as a first stage finds them), "off"').choices(
        GUARD_MODES,
      ),
    )
    .option('--guard-model <folder>', 'guard: a folder with guard.json and weights (default: the bundled one)')
    .option('--guard-lines <file>', 'guard: lines of "gabion detector calibrate" (default: the bundled ones)')
    .option('--guard-classifier <folder>', 'instead of the guard: a Hugging Face classifier, whose labels of harm --unsafe-label names')
    .option('--unsafe-label <label...>', 'labels of --guard-classifier that mean harm')
    .option('--artifact <file>', 'erosion: a detector of "gabion detector train" or "calibrate" (default: the bundled one)')
    .option('--judge <url>', `also ask an OpenAI-compatible API about elevated exchanges, which are sent to it (key: ${JUDGE_KEY})`)
    .option('--judge-model <name>', "the judge's model")
}

/** The settings that the flags stand for; refusal phrases belong to the erosion detector. */
export function detectorSettings(
  { detector, artifact, guard, guardModel, guardLines, guardClassifier, unsafeLabel, judge, judgeModel }: DetectorFlags,
  lexicon?: NonNullable<MonitorOptions['erosion']>['lexicon'],
): Pick<MonitorOptions, 'detector' | 'guard' | 'erosion' | 'judge'> {
  if ((judge === undefined) !== (judgeModel === undefined))
    throw new GabionError('INVALID_ARGUMENT', '--judge and --judge-model must be used together: one of them is missing')
  if ((guardClassifier === undefined) !== (unsafeLabel === undefined))
    throw new GabionError('INVALID_ARGUMENT', '--guard-classifier and --unsafe-label must be used together: one of them is missing')
  if (guardClassifier !== undefined && detector !== undefined)
    throw new GabionError('INVALID_ARGUMENT', `--guard-classifier is the detector: omit --detector ${detector}`)
  return {
    ...(detector !== undefined && { detector }),
    ...(guardClassifier !== undefined && unsafeLabel !== undefined && { detector: { classifier: guardClassifier, unsafe: unsafeLabel } }),
    ...((artifact !== undefined || lexicon !== undefined) && {
      erosion: { ...(artifact !== undefined && { artifact }), ...(lexicon !== undefined && { lexicon }) },
    }),
    ...guardSettings(guard, guardModel, guardLines),
    ...(judge !== undefined && judgeModel !== undefined && { judge: judgeSettings(judge, judgeModel) }),
  }
}

function guardSettings(mode: GuardMode | undefined, folder: string | undefined, lines: string | undefined): Pick<MonitorOptions, 'guard'> {
  if (mode === undefined && folder === undefined && lines === undefined) return {}
  if (mode === 'off') {
    if (folder !== undefined) throw new GabionError('INVALID_ARGUMENT', '--guard off reads no --guard-model')
    if (lines !== undefined) throw new GabionError('INVALID_ARGUMENT', '--guard off has no --guard-lines')
    return { guard: mode }
  }
  return { guard: { ...(mode !== undefined && { mode }), ...(folder !== undefined && { folder }), ...(lines !== undefined && { lines }) } }
}

function judgeSettings(url: string, model: string): JudgeOptions {
  const apiKey = process.env[JUDGE_KEY]
  return { url, model, ...(apiKey !== undefined && apiKey !== '' && { apiKey }) }
}
