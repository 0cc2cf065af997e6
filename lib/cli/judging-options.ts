// Owns the options that say by what conversations are judged beyond the detector, and the loading of a monitor from them.

import type { Command } from 'commander'
import type { Detector } from '../detection/detector.js'
import { loadLexicons } from '../detection/erosion/lexicon-file.js'
import { GuardedDetector } from '../detection/policy/guarded-detector.js'
import { loadPolicies, type PolicyOptions } from '../detection/policy/load-policies.js'
import type { Embedder } from '../embedding/embedder.js'
import { readText } from '../json/json-file.js'
import { Monitor, type MonitorOptions } from '../monitor/monitor.js'
import { detectorSettings, type DetectorFlags } from './detector-options.js'
import { collect } from './wording.js'

/** Flags of {@link addJudgingOptions}, with those of the detector. */
export interface JudgingFlags extends DetectorFlags {
  lexicon?: string[]
  system?: string
  policy?: string
  benign?: string
}

/** Adds the options. */
export function addJudgingOptions(command: Command): Command {
  return command
    .option('--lexicon <language|file>', 'erosion: refusal phrases, "en", "de", "fr" or a file; repeatable (default: "en")', collect)
    .option('--system <file>', "system prompt of the conversations that have none of their own: the assistant's rules")
    .option('--policy <file>', 'also apply your own policies: a policy file, or one built by "gabion policy build"')
    .option('--benign <file>', 'with --policy: ordinary conversations, instead of those of the policy file')
}

/** The default system prompt of the flags; null without one. */
export async function systemOf({ system }: JudgingFlags): Promise<string | null> {
  return system === undefined ? null : await readText(system, 'the system prompt')
}

/** Loads a monitor by the flags, for vectors of this embedder. */
export async function openMonitor(
  embedder: Embedder,
  flags: JudgingFlags,
  { classic, ...progress }: Pick<PolicyOptions, 'signal' | 'onProgress'> & { classic?: NonNullable<MonitorOptions['classic']> } = {},
): Promise<Monitor> {
  const refusals = await loadLexicons(flags.lexicon)
  const { judge, ...settings } = detectorSettings(flags, refusals?.lexicons)
  const judging = judge === undefined ? {} : { judge }
  const monitor = await Monitor.load({
    embedder,
    ...settings,
    ...(classic !== undefined && Object.keys(classic).length > 0 && { classic }),
    ...(flags.policy === undefined && judging),
  })
  if (flags.policy === undefined) return monitor
  const set = await loadPolicies(embedder, flags.policy, {
    ...progress,
    ...(flags.benign !== undefined && { benign: flags.benign }),
    ...(refusals !== null && { refusals }),
  })
  const detector: Detector = new GuardedDetector(monitor.detector, set, refusals ?? undefined)
  return await Monitor.load({ embedder, detector, ...judging })
}
