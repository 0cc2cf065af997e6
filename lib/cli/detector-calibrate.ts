// Owns `gabion detector calibrate`: thresholds from a deployment's own benign conversations, once or following its traffic.

import { basename } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { readArtefact, writeArtefact } from '../detection/erosion/artefact.js'
import { EROSION_ARTEFACTS } from '../detection/erosion/open-erosion.js'
import { byConversation, thresholdsFrom } from '../detection/training/conversation-scores.js'
import { BUDGETS } from '../detection/training/recipe.js'
import { logitsAtRunTime } from '../detection/training/train-head.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { addCache, readSets } from './detector-sets.js'
import { count } from './wording.js'

interface CalibrateFlags extends EmbedderFlags {
  out: string
  artefact: string
  alert: number
  elevated: number
  cache?: string
}

/** The subcommand `calibrate`. */
export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .summary("set thresholds on a deployment's own benign conversations")
    .description(
      'Sets the thresholds of a detector so that no more than a given share of benign conversations reaches them, and says how sure that is.',
    )
    .argument('<file...>', 'benign conversations, as for "train"; labels are not needed')
    .requiredOption('-o, --out <file>', 'where the calibrated artefact goes')
    .option('--artefact <file>', 'the detector to calibrate', EROSION_ARTEFACTS.default)
    .option('--alert <share>', 'benign conversations that may raise an alert', parseShare, BUDGETS.alert)
    .option('--elevated <share>', 'benign conversations that may become elevated', parseShare, BUDGETS.elevated)
  return finishCommand<CalibrateFlags>(
    addEmbedderOptions(addCache(command)),
    ['gabion detector calibrate benign.jsonl --alert 0.01 --out ours.json'],
    calibrate,
  )
}

async function calibrate(context: Context, flags: CalibrateFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  const artefact = await readArtefact(flags.artefact)
  const sets = await readSets(context, embedder, flags, artefact, files, 'safe')
  const benign = sets.flatMap(({ exchanges }) => exchanges)
  const { model, modelHash, precision } = embedder.info
  const conversations = byConversation(benign, logitsAtRunTime(artefact.head, benign, artefact.thresholds.scale.median))
  const thresholds = thresholdsFrom(conversations, flags, {
    source: files.map((file) => basename(file)).join(', '),
    embedder: { model, hash: modelHash, precision },
  })
  await writeArtefact(flags.out, { ...artefact, thresholds })
  const { output } = context
  const { elevated, alert } = thresholds.levels.max
  if (output.json) await output.jsonLine({ file: flags.out, conversations: conversations.length, ...thresholds })
  else {
    for (const [name, { value, budget, reached, upperBound }] of Object.entries({ alert, elevated })) {
      await output.line(
        `${name}: score ${value.toFixed(3)} for a budget of ${(100 * budget).toFixed(1)} %; ${reached} of ${count(conversations.length, 'benign conversation')} reach it, at most ${(100 * upperBound).toFixed(1)} % (95 %, Clopper-Pearson)`,
      )
    }
    await output.line(flags.out)
  }
}

function parseShare(value: string): number {
  const share = Number(value)
  if (value.trim() === '' || !(share > 0 && share < 1)) throw new InvalidArgumentError('Expected a share between 0 and 1, such as 0.01.')
  return share
}
