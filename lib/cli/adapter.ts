// Owns `gabion adapter`: fits a linear map from one model's vectors to another's, folds it with a projection.

import { Command, Option } from 'commander'
import { ADAPTER_METHODS, LinearAdapter, type AdapterMethod } from '../projection/adapter.js'
import { importProjection } from '../projection/import.js'
import { addEmbedderOptions, finishCommand, type CommonOptions, type Context, type EmbedderFlags } from './command.js'
import { describeProjection, projectionShape, saveProjection, share } from './projection-file.js'
import type { TextFormat } from './text-source.js'
import { addTextFormat, allVectors } from './vector-file.js'
import { count } from './wording.js'

interface FitFlags extends EmbedderFlags {
  from: string
  to: string
  target?: string
  method: AdapterMethod
  format: TextFormat
  out: string
}

interface FoldFlags extends CommonOptions {
  projection: string
  out: string
}

/** The command `adapter` with its subcommands. */
export function adapterCommand(): Command {
  return new Command('adapter')
    .summary("fit a map from one model's vectors to another's")
    .description(
      'Linear adapters: a map from the vectors of a new model to those of an old one, so that a projection and thresholds fitted on the old one remain valid.',
    )
    .addCommand(fitCommand())
    .addCommand(foldCommand())
}

function fitCommand(): Command {
  const command = new Command('fit')
    .summary('fit an adapter on texts embedded by both models')
    .description(
      'Fits the map on paired vectors: row i of --from and of --to is the same text. One pair in five is held out to measure the map. ' +
        '--from may be a text file, which is then embedded here.',
    )
    .requiredOption('--from <file>', 'vectors of the new model in a .npy file, or the texts')
    .requiredOption('--to <file.npy>', 'vectors of the old model for the same texts')
    .option('--target <name>', 'name of the old model: stored, so that mismatches are refused')
    .requiredOption('-o, --out <file>', 'where to save the adapter (JSON)')
    .addOption(
      new Option('--method <name>', 'ridge: least squares, penalty by cross-validation; procrustes: a rotation')
        .choices(ADAPTER_METHODS)
        .default('ridge'),
    )
  return finishCommand<FitFlags>(
    addEmbedderOptions(addTextFormat(command)),
    [
      'gabion adapter fit --from texts.txt --to cloud.npy --target amazon.titan-embed-text-v1 --out adapter.json',
      'gabion adapter fit --from local.npy --to cloud.npy --out adapter.json',
    ],
    fit,
  )
}

function foldCommand(): Command {
  const command = new Command('fold')
    .summary('combine an adapter and a projection into one projection')
    .description(
      "Folds an adapter and the old model's projection into one projection of the new model's vectors, which is applied inside the embedding call.",
    )
    .argument('<adapter>', 'an adapter saved by "gabion adapter fit"')
    .requiredOption('-p, --projection <file>', 'the old model\'s projection: of gabion, or anything "gabion pca import" reads')
    .requiredOption('-o, --out <file>', 'where to save the projection: .json, or .npz for NumPy')
  return finishCommand<FoldFlags>(command, ['gabion adapter fold adapter.json --projection cloud.pca.json --out local.pca.json'], fold)
}

async function fit(context: Context, flags: FitFlags): Promise<undefined> {
  const { output } = context
  const from = await allVectors(context, flags, flags.from)
  const to = await allVectors(context, flags, flags.to)
  output.note(`fitting on ${count(from.vectors.rows, 'pair')} …`)
  const adapter = LinearAdapter.fit(from.vectors, to.vectors, {
    method: flags.method,
    ...(from.model !== null && { model: from.model }),
    ...(flags.target !== undefined && { target: flags.target }),
  })
  await adapter.save(flags.out)
  const { quality, dimensions, targetDimensions, target } = adapter
  if (output.json) {
    await output.jsonLine({ file: flags.out, dimensions, targetDimensions, target, model: adapter.map.model, quality })
    return
  }
  const penalty = quality.penalty === null ? '' : `, penalty ${quality.penalty.toPrecision(2)}`
  await output.line(
    `${flags.out}: ${String(dimensions)} → ${String(targetDimensions)}, ${quality.method}${penalty}, fitted on ${count(quality.pairs, 'pair')}`,
  )
  await output.line(
    `on ${count(quality.heldBack, 'pair')} held out: R² ${quality.r2.toFixed(3)} (${share(quality.r2)} of the variance), ` +
      `cosine ${quality.meanCosine.toFixed(3)} on average, ${quality.lowCosine.toFixed(3)} for the lowest 5%`,
  )
}

async function fold({ output }: Context, flags: FoldFlags, [file = '']: string[]): Promise<undefined> {
  const adapter = await LinearAdapter.load(file)
  const folded = adapter.fold(await importProjection(flags.projection))
  await saveProjection(folded, flags.out)
  if (output.json) await output.jsonLine({ file: flags.out, ...describeProjection(folded) })
  else await output.line(`${flags.out}: ${projectionShape(folded)}, adapter and projection in one`)
}
