// Owns `gabion model pull`: downloads a model from the hub and converts it, so that it then loads without a network.

import { Command, InvalidArgumentError } from 'commander'
import type { PreparationProgress } from '../convert/prepared-model.js'
import { GRAPH_PRECISIONS, type GraphPrecision } from '../models/index.js'
import { checkAssumedModules } from '../models/pooled-modules.js'
import { addPooling, finishCommand, poolingOf, type CommonOptions, type Context, type PoolingFlags } from './command.js'
import { ProgressSteps } from './progress.js'

interface PullFlags extends CommonOptions, PoolingFlags {
  precision: GraphPrecision[]
  convert: boolean
}

/** For the option's help. */
export const PRECISION_LIST = `comma-separated, of ${GRAPH_PRECISIONS.join(', ')}`

/** For commander: a comma-separated list of precisions. */
export function parsePrecisions(value: string): GraphPrecision[] {
  return value.split(',').map((part) => {
    const found = GRAPH_PRECISIONS.find((name) => name === part.trim())
    if (found === undefined) throw new InvalidArgumentError(`Expected a comma-separated list of ${GRAPH_PRECISIONS.join(', ')}.`)
    return found
  })
}

/** The subcommand `pull`. */
export function pullCommand(): Command {
  const command = new Command('pull')
    .summary('download a model from the hub, and convert it where it is needed')
    .description(
      "Downloads a model into Hugging Face's own cache (HF_HOME, HF_HUB_CACHE), which other tools share. Weights that gabion runs " +
        'as they are published stay as they are, others are converted. ' +
        'HF_ENDPOINT sets another hub, HF_TOKEN the access token; HTTPS_PROXY and NO_PROXY apply. Interrupted downloads resume.',
    )
    .argument('<name[@revision]>', 'a known model, or owner/name; @revision is a branch, tag or commit')
    .option('--precision <list>', `what it is to run in, ${PRECISION_LIST}`, parsePrecisions, ['bf16'])
    .option('--no-convert', 'only download')
  const examples = [
    'gabion model pull all-mpnet-base-v2',
    'gabion model pull sentence-transformers/all-MiniLM-L12-v2@main --precision bf16,fp32',
  ]
  return finishCommand<PullFlags>(addPooling(command), examples, pull)
}

async function pull({ output, signal }: Context, flags: PullFlags, [name = '']: string[]): Promise<undefined> {
  const { pullModel } = await import('../models/index.js')
  const { prepareModel } = await import('../convert/prepared-model.js')
  const { readPackedModel } = await import('../embedding/packed-model.js')
  using steps = new ProgressSteps(output)
  const onProgress = (progress: PreparationProgress): void => {
    const [doing, done, total] =
      progress.stage === 'download'
        ? (['downloading', progress.bytes, progress.totalBytes] as const)
        : (['converting', progress.bytesWritten, progress.bytesOfPrecision] as const)
    steps.report({ doing, done, total, count: Math.round(done / 1e6), unit: 'MB' })
  }
  const pulled = await pullModel(name, {
    ...poolingOf(flags),
    signal,
    onProgress: (progress) => onProgress({ stage: 'download', ...progress }),
  })
  const folders: { precision: GraphPrecision; folder: string }[] = []
  for (const precision of flags.convert ? flags.precision : []) {
    const { folder } = await prepareModel(`${pulled.id}@${pulled.commit}`, {
      accepts: async (model) =>
        model.graphs.some((graph) => graph.precision === precision) ||
        (await readPackedModel(model, { precision, providers: ['cpu'], onnxFile: undefined })) !== null,
      make: [precision],
      choice: { assumed: checkAssumedModules(poolingOf(flags)) },
      onProgress,
      signal,
    })
    folders.push({ precision, folder })
  }
  steps.stop()
  const { id, revision, commit, folder } = pulled
  if (output.json) await output.jsonLine({ id, revision, commit, folder, converted: folders })
  else {
    await output.line(`${id}@${revision} is ${commit}`)
    await output.line(`  downloaded: ${folder}`)
    for (const made of folders) await output.line(`  ${made.precision.padEnd(10)}: ${made.folder}`)
  }
}
