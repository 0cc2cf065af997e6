// Owns the common part of the subcommands of `gabion detector`: reading and embedding of labeled conversations.

import { basename } from 'node:path'
import type { Command } from 'commander'
import type { ErosionArtifact } from '../detection/erosion/artifact.js'
import { RefusalReader } from '../detection/erosion/lexicon.js'
import type { Label } from '../detection/fitting/corpus.js'
import type { EmbeddedExchange } from '../detection/training/exchanges.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import type { Context } from './command.js'
import { ProgressSteps } from './progress.js'

/** Adds the option for a vector cache on disk. */
export function addCache(command: Command): Command {
  return command.option('--cache <folder>', 'cache vectors here, so that a second run embeds nothing')
}

/** The exchanges of a file. */
export interface EmbeddedSet {
  name: string
  exchanges: EmbeddedExchange[]
}

/**
 * Reads files and embeds their exchanges for a detector.
 *
 * @param label - label of conversations without one
 * @throws GabionError `ARTIFACT_INVALID` when the detector belongs to another model, `TRANSCRIPT_INVALID` with file, line and field
 */
export async function readSets(
  context: Context,
  embedder: Embedder,
  flags: { cache?: string },
  artifact: ErosionArtifact,
  files: readonly string[],
  label?: Label,
): Promise<EmbeddedSet[]> {
  if (embedder.info.model !== artifact.embedder.model) {
    throw new GabionError(
      'ARTIFACT_INVALID',
      `the detector was trained on vectors of ${artifact.embedder.model}, the model is ${embedder.info.model}`,
    )
  }
  const { embedExchanges, exchangesOf, readCorpus, VectorStore } = await import('../detection/training/index.js')
  const store = await VectorStore.open(embedder, artifact.windows, flags.cache ?? null)
  const steps = new ProgressSteps(context.output)
  const sets: EmbeddedSet[] = []
  for (const file of files) {
    const corpus = await readCorpus(file, nameOf(file), label === undefined ? undefined : { label })
    const exchanges = await embedExchanges(exchangesOf(corpus, 'all'), store, new RefusalReader(artifact.lexicon), {
      signal: context.signal,
      onProgress: (progress) => {
        steps.report({ doing: 'embedding texts', ...progress })
      },
    })
    sets.push({ name: corpus.name, exchanges })
  }
  steps.stop()
  return sets
}

/** Name of a file's conversations. */
export function nameOf(file: string): string {
  return basename(file).replace(/\.jsonl?(\.gz)?$/, '')
}
