// Owns the sides of `gabion compare`: a model, a matrix of vectors, a recording, a cloud's model.

import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { openBedrock } from '../migration/cloud/bedrock.js'
import { Recording } from '../migration/cloud/recording.js'
import { cloudSource, localSource, type VectorSource } from '../migration/source.js'
import type { ProjectionModel } from '../projection/projection.js'
import { openEmbedder, type EmbedderFlags } from './command.js'
import { readNpy, type Matrix } from '../files/npy-file.js'

/** One side: vectors, or a source of vectors. */
export type CompareSide =
  | { readonly kind: 'vectors'; readonly name: string; readonly vectors: Matrix }
  | { readonly kind: 'source'; readonly source: VectorSource; readonly model: ProjectionModel | null; close(): void }

/** Flags of a cloud's model. */
export interface CloudFlags extends EmbedderFlags {
  record?: string
  region?: string
  endpoint?: string
  textsPerSecond?: number
}

/** Syntax of sides, for help and messages. */
export const SIDE_FORMS = 'a model or model folder, vectors.npy, a recording.jsonl, or bedrock[:model]'

/** Opens a side. */
export async function openSide(name: string, flags: CloudFlags): Promise<CompareSide> {
  if (name.endsWith('.npy')) return { kind: 'vectors', name, vectors: await readNpy(name) }
  if (name.endsWith('.jsonl')) return sourceSide(cloudSource(null, await Recording.load(name)))
  if (name === 'bedrock' || name.startsWith('bedrock:')) return openCloud(name, flags)
  const embedder: Embedder = await openEmbedder({ ...flags, model: name }, { cache: false })
  const { model, modelHash: hash, precision } = embedder.info
  return {
    kind: 'source',
    source: localSource(embedder),
    model: { name: model, hash, precision },
    close: () => {
      embedder.dispose()
    },
  }
}

async function openCloud(name: string, flags: CloudFlags): Promise<CompareSide> {
  const model = name.slice('bedrock:'.length)
  const provider = await openBedrock({
    ...(model !== '' && { model }),
    ...(flags.region !== undefined && { region: flags.region }),
    ...(flags.endpoint !== undefined && { endpoint: flags.endpoint }),
    ...(flags.textsPerSecond !== undefined && { textsPerSecond: flags.textsPerSecond }),
  })
  const recording = flags.record === undefined ? null : await Recording.open(flags.record, provider.model)
  return { ...sourceSide(cloudSource(provider, recording)), close: () => provider.close() }
}

function sourceSide(source: VectorSource): Extract<CompareSide, { kind: 'source' }> {
  return { kind: 'source', source, model: null, close: () => undefined }
}

/** The source of a side; `why` is a text for the error if it has only vectors. */
export function sourceOf(side: CompareSide, why: string): VectorSource {
  if (side.kind === 'source') return side.source
  throw new GabionError('INVALID_ARGUMENT', `${side.name} contains vectors only, ${why}: use ${SIDE_FORMS.replace('vectors.npy, ', '')}`)
}
