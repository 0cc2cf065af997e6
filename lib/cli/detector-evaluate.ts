// Owns `gabion detector evaluate`: measures a detector on labeled conversations.

import { Command } from 'commander'
import { readArtifact } from '../detection/erosion/artifact-file.js'
import { EROSION_ARTIFACTS } from '../detection/erosion/load-erosion.js'
import type { Evaluation } from '../detection/training/evaluate.js'
import { writeWhole } from '../files/pending-file.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { addCache, readSets } from './detector-sets.js'
import { evaluationTable } from './detector-tables.js'

interface EvaluateFlags extends EmbedderFlags {
  artifact: string
  report?: string
  cache?: string
}

/** The subcommand `evaluate`. */
export function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .summary('measure a detector on labeled conversations')
    .description('Areas, recall at false-alarm budgets, alerts per 1,000 benign exchanges, lead time and calibration, one table per file.')
    .argument('<file...>', 'labeled conversations, as for "train"')
    .option('--artifact <file>', 'the detector to measure', EROSION_ARTIFACTS.default)
    .option('--report <file>', 'also write a page with tables and plots (HTML, loads nothing)')
  return finishCommand<EvaluateFlags>(
    addEmbedderOptions(addCache(command)),
    ['gabion detector evaluate labeled.jsonl --json', 'gabion detector evaluate labeled.jsonl --report evaluation.html'],
    evaluate,
  )
}

async function evaluate(context: Context, flags: EvaluateFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  const { evaluate: evaluateSet } = await import('../detection/training/index.js')
  const artifact = await readArtifact(flags.artifact)
  const evaluations: Evaluation[] = []
  for (const { name, exchanges } of await readSets(context, embedder, flags, artifact, files)) {
    const evaluation = evaluateSet(name, exchanges, artifact)
    evaluations.push(evaluation)
    if (context.output.json) await context.output.jsonLine(evaluation)
    else await context.output.line(`${evaluationTable(evaluation)}\n`)
  }
  if (flags.report === undefined) return
  const { evaluationPage } = await import('../report/evaluation-page.js')
  const { model, precision } = embedder.info
  const facts = { detector: artifact.name, thresholds: artifact.thresholds.source, engine: `${model} ${precision}` }
  await writeWhole(flags.report, evaluationPage(evaluations, facts))
  context.output.note(`report: ${flags.report}`)
}
