// Owns `gabion detector train`: heads from labelled conversations, or a finished head adapted to a few of them.

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { readArtifact, writeArtifact } from '../detection/erosion/artifact.js'
import { EROSION_ARTIFACTS } from '../detection/erosion/load-erosion.js'
import { adaptHead } from '../detection/training/few-shot.js'
import { prepareSets, shippedPlan, type TrainingPlan } from '../detection/training/prepare.js'
import { VARIANTS, type RecipeSet, type Variant } from '../detection/training/recipe.js'
import { leaveOneSetOut } from '../detection/training/tables.js'
import { trainVariant } from '../detection/training/train.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { addCache, nameOf, readSets } from './detector-sets.js'
import { leaveOutTable } from './detector-tables.js'
import { ProgressSteps } from './progress-steps.js'
import { count } from './wording.js'
import { packagePath } from '../package-folder.js'

interface TrainFlags extends EmbedderFlags {
  out: string
  sets?: string
  variant?: Variant
  mass: number
  adapt?: boolean
  artifact?: string
  cache?: string
  tables: boolean
}

/** The sets of a checkout; not part of the package. */
const CHECKOUT_SETS = packagePath('data')

/** The subcommand `train`. */
export function trainCommand(): Command {
  const command = new Command('train')
    .summary('train a detector, or adapt one to a few conversations')
    .description(
      'Trains heads on labelled conversations (JSON lines of {"group", "label": "safe"|"unsafe", "turns": [{"user", "assistant"}]}), on the sets of a folder, or on both. Prints every set left out in turn, beside the controls. With --adapt: pulls a finished head towards 10 to 500 conversations and says what that is worth.',
    )
    .argument('[file...]', 'your own labelled conversations')
    .requiredOption('-o, --out <file|folder>', 'where the artifact goes: a .json file, or a folder for all variants')
    .option('--sets <folder>', "gabion's own sets (default in a checkout without files: data/)")
    .addOption(
      new Option(
        '--variant <name>',
        'which recipe: with a block for the user\'s text or without, as shipped or as first published (default: all, or "default" for one file)',
      ).choices(Object.keys(VARIANTS)),
    )
    .option('--mass <n>', 'weight of each class of your own files, where a set of the recipe has about 0.5', parseMass, 1)
    .option('--adapt', 'adapt a finished head to the files instead of training a new one')
    .option('--artifact <file>', 'with --adapt: the head to start from (default: the bundled one)')
    .option('--no-tables', 'skip the tables, which take most of the time')
  return finishCommand<TrainFlags>(
    addEmbedderOptions(addCache(command)),
    [
      'gabion detector train --sets data --cache build/vectors --out models/detectors/erosion',
      'gabion detector train --adapt ours.jsonl --out ours.json',
    ],
    train,
  )
}

async function train(context: Context, flags: TrainFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  if (flags.adapt === true) {
    await adapt(context, embedder, flags, files)
    return
  }
  const { output, signal } = context
  const steps = new ProgressSteps(context.output)
  const sets = await prepareSets(embedder, planOf(flags, files), { signal, onProgress: steps.report })
  const single = flags.out.endsWith('.json')
  const variants = flags.variant !== undefined ? [flags.variant] : single ? (['default'] as const) : (Object.keys(VARIANTS) as Variant[])
  if (!single) await mkdir(flags.out, { recursive: true })
  for (const variant of variants) {
    const { artifact, crossValidated } = trainVariant(variant, sets, { signal, onProgress: steps.report })
    const file = single ? flags.out : join(flags.out, basename(EROSION_ARTIFACTS[variant]))
    await writeArtifact(file, artifact)
    steps.stop()
    if (output.json) await output.jsonLine({ file, variant, crossValidated, thresholds: artifact.thresholds })
    else
      await output.line(
        `${file}: ${count(sets.training.length, 'exchange')}, cross-validated AUROC ${crossValidated.map(({ set, auroc }) => `${set} ${auroc.toFixed(3)}`).join(', ')}`,
      )
  }
  if (!flags.tables) return
  const rows = []
  for (const row of leaveOneSetOut(sets, variants, { signal, onProgress: steps.report })) {
    rows.push(row)
    if (output.json) await output.jsonLine({ leaveOneSetOut: row })
  }
  steps.stop()
  if (!output.json) await output.line(`\n${leaveOutTable(rows)}`)
}

function planOf(flags: TrainFlags, files: readonly string[]): TrainingPlan {
  const folder = flags.sets ?? (files.length === 0 && existsSync(CHECKOUT_SETS) ? CHECKOUT_SETS : undefined)
  if (folder === undefined && files.length === 0)
    throw new GabionError('INVALID_ARGUMENT', 'give files of labelled conversations, or a folder of sets with --sets')
  const cache = flags.cache ?? null
  const shipped = folder === undefined ? { sets: [], templates: null, measured: [], cache } : shippedPlan(folder, cache)
  const own = files.map((file): RecipeSet => ({
    name: nameOf(file),
    file,
    license: 'own',
    taken: 'all',
    mass: { unsafe: flags.mass, safe: flags.mass },
    trained: folder === undefined ? 0.6 : 1,
  }))
  return { ...shipped, sets: [...shipped.sets, ...own] }
}

async function adapt(context: Context, embedder: Embedder, flags: TrainFlags, files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new GabionError('INVALID_ARGUMENT', '--adapt needs files of labelled conversations')
  const artifact = await readArtifact(flags.artifact ?? EROSION_ARTIFACTS.default)
  const sets = await readSets(context, embedder, flags, artifact, files)
  const { head, c, shipped, adapted, gain } = adaptHead(
    artifact.head,
    sets.flatMap(({ exchanges }) => exchanges),
  )
  const worth = gain[0] > 0 ? 'gain' : 'no gain that the conversations can show'
  await writeArtifact(flags.out, {
    ...artifact,
    name: `${artifact.name}, adapted`,
    head,
    recipe: { ...artifact.recipe, adapted: true, adaptedC: c },
    thresholds: { ...artifact.thresholds, source: `${artifact.thresholds.source}; not set anew for the adapted head: calibrate it` },
  })
  const { output } = context
  if (output.json) await output.jsonLine({ file: flags.out, c, shipped, adapted, gain, worth })
  else {
    await output.line(
      `${flags.out}: AUROC on held-back conversations ${shipped.toFixed(3)} before, ${adapted.toFixed(3)} adapted (95 % interval of the gain ${gain.map((value) => value.toFixed(3)).join(' to ')}): ${worth}`,
    )
  }
}

function parseMass(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !(number > 0) || !Number.isFinite(number)) throw new InvalidArgumentError('Expected a number above 0.')
  return number
}
