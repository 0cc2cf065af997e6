// Owns `gabion detector train`: trains heads on labeled conversations, or adapts a trained head to a few of them.

import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Command, Option } from 'commander'
import { readArtifact, writeArtifact } from '../detection/erosion/artifact-file.js'
import { EROSION_ARTIFACTS } from '../detection/erosion/load-erosion.js'
import type { PreparedSets } from '../detection/training/prepare.js'
import type { Variant } from '../detection/training/recipe.js'
import type { Embedder } from '../embedding/embedder.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { addCache, nameOf, readSets } from './detector-sets.js'
import { leaveOutTable } from './detector-tables.js'
import { ProgressSteps } from './progress.js'
import { count } from './wording.js'

interface TrainFlags extends EmbedderFlags {
  out: string
  variant?: Variant
  adapt?: boolean
  artifact?: string
  cache?: string
  tables: boolean
}

/** The subcommand `train`. */
export function trainCommand(): Command {
  const command = new Command('train')
    .summary('train a detector, or adapt one to a few conversations')
    .description(
      'Trains heads on labeled conversations: JSON lines of {"group", "label": "safe"|"unsafe", "turns": [{"user", "assistant"}]}. Then prints the AUROC on files (on held-out conversations of a single file) that the head was not fitted on, next to controls: refusal phrases, the length of the reply, words. With --adapt: adapts a trained head to 10 to 500 conversations and measures the gain.',
    )
    .argument('<file...>', 'labeled conversations')
    .requiredOption('-o, --out <file|folder>', 'output of the artifact: a .json file, or a folder for all variants')
    .addOption(
      new Option(
        '--variant <name>',
        'recipe: with or without a block for the user\'s text, as shipped or as first published (default: all, or "default" for one file)',
      ).choices(Object.keys(EROSION_ARTIFACTS)),
    )
    .option('--adapt', 'adapt a trained head to the files instead of training a new one')
    .option('--no-tables', 'do not measure heads and controls on left-out files')
    .option('--artifact <file>', 'with --adapt: the head to start from (default: the bundled one)')
  return finishCommand<TrainFlags>(
    addEmbedderOptions(addCache(command)),
    ['gabion detector train ours.jsonl --cache vectors --out ours.json', 'gabion detector train --adapt few.jsonl --out ours.json'],
    train,
  )
}

async function train(context: Context, flags: TrainFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  if (flags.adapt === true) {
    await adapt(context, embedder, flags, files)
    return
  }
  const { ownSet, prepareSets, trainVariant } = await import('../detection/training/index.js')
  const { output, signal } = context
  const steps = new ProgressSteps(context.output)
  const own = files.map((file) => ownSet(nameOf(file), file, { mass: 1, trained: 0.6 }))
  const plan = { sets: own, cache: flags.cache ?? null }
  const sets = await prepareSets(embedder, plan, { signal, onProgress: steps.report })
  const single = flags.out.endsWith('.json')
  const variants =
    flags.variant !== undefined ? [flags.variant] : single ? (['default'] as const) : (Object.keys(EROSION_ARTIFACTS) as Variant[])
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
  if (flags.tables) await printTables(context, sets, variants)
}

/** Measures heads and controls on the sets that they were not fitted on. */
async function printTables({ output, signal }: Context, sets: PreparedSets, variants: readonly Variant[]): Promise<void> {
  const { controlScorers, headScorer, leaveOutPlan, measureScorer, VARIANTS } = await import('../detection/training/index.js')
  const plan = leaveOutPlan(sets)
  if (plan.leaveOut.length === 0 && Object.keys(plan.measured).length === 0) {
    output.note('no tables: the held-out conversations need both labels')
    return
  }
  const settings = { dimensions: sets.dimensions, signal }
  const scorers = [...variants.map((name) => headScorer(name, VARIANTS[name], settings)), ...controlScorers(settings)]
  const steps = new ProgressSteps(output)
  const rows = scorers.map((scorer, done) => {
    steps.report({ doing: 'measuring heads and controls', done, total: scorers.length })
    return measureScorer(scorer, plan)
  })
  steps.stop()
  if (output.json) for (const row of rows) await output.jsonLine({ leaveOneSetOut: row })
  else await output.line(`\n${leaveOutTable(rows)}`)
}

async function adapt(context: Context, embedder: Embedder, flags: TrainFlags, files: readonly string[]): Promise<void> {
  const { adaptHead } = await import('../detection/training/index.js')
  const artifact = await readArtifact(flags.artifact ?? EROSION_ARTIFACTS.default)
  const sets = await readSets(context, embedder, flags, artifact, files)
  const { head, c, shipped, adapted, gain } = adaptHead(
    artifact.head,
    sets.flatMap(({ exchanges }) => exchanges),
  )
  const worth = gain[0] > 0 ? 'gain' : 'no significant gain'
  await writeArtifact(flags.out, {
    ...artifact,
    name: `${artifact.name}, adapted`,
    head,
    recipe: { ...artifact.recipe, adapted: true, adaptedC: c },
    thresholds: { ...artifact.thresholds, source: `${artifact.thresholds.source}; not calibrated for the adapted head` },
  })
  const { output } = context
  if (output.json) await output.jsonLine({ file: flags.out, c, shipped, adapted, gain, worth })
  else {
    await output.line(
      `${flags.out}: AUROC on held-out conversations ${shipped.toFixed(3)} before, ${adapted.toFixed(3)} adapted (95 % interval of the gain ${gain.map((value) => value.toFixed(3)).join(' to ')}): ${worth}`,
    )
  }
}
