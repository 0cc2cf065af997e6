// Owns loading of policies: written ones are embedded and fitted, built ones are read.

import type { Embedder } from '../../embedding/embedder.js'
import { GabionError } from '../../errors.js'
import { readText } from '../../json/json-file.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../erosion/lexicon.js'
import { VectorStore, WINDOWS } from '../fitting/vector-store.js'
import { parsePolicySet } from './policy-artifact.js'
import { parsePolicyFile, type PolicyFile } from './policy-file.js'
import { readLog, type LogConversation, type LogReading } from './policy-log.js'
import { embedPolicies, readyPolicies, type PolicyMaterial, type PolicySet } from './policy-set.js'

/** Options of {@link loadPolicies}. */
export interface PolicyOptions {
  /** File of ordinary conversations; default: that of the policy file. */
  readonly benign?: string
  /** Folder that caches vectors, so that a second run embeds nothing. */
  readonly cache?: string
  /** Refusal phrases; default English. */
  readonly refusals?: RefusalReader
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: { doing: string; done: number; total: number }) => void
}

/** Policies with their sources. */
export interface PreparedPolicies {
  readonly file: PolicyFile
  readonly set: PolicySet
  readonly materials: readonly PolicyMaterial[]
  readonly ordinary: readonly LogConversation[]
  readonly reading: LogReading
}

/**
 * Policies for the vectors of an embedder, from a policy file (YAML) or a built one (JSON).
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field, also when built policies belong to another embedder;
 *   `INVALID_ARGUMENT` without ordinary conversations, or with too few for the budget
 */
export async function loadPolicies(embedder: Embedder, file: string, options: PolicyOptions = {}): Promise<PolicySet> {
  const text = await readText(file, 'the policies')
  if (!text.trimStart().startsWith('{')) return (await preparePolicies(embedder, file, options)).set
  const set = parsePolicySet(text, file)
  const { model, modelHash, precision } = embedder.info
  if (set.embedder.hash !== modelHash || set.embedder.precision !== precision) {
    throw new GabionError(
      'ARTIFACT_INVALID',
      `${file} was built with ${set.embedder.model} in ${set.embedder.precision} (${set.embedder.hash.slice(0, 12)}), this is ${model} in ${precision} (${modelHash.slice(0, 12)}); build it again with "gabion policy build"`,
    )
  }
  const dimensions = set.policies[0]?.head.dimensions ?? embedder.dimensions
  if (dimensions !== embedder.dimensions) {
    throw new GabionError(
      'ARTIFACT_INVALID',
      `${file} was built on vectors of ${String(dimensions)} dimensions, this embedder gives ${String(embedder.dimensions)}; build it again with "gabion policy build"`,
    )
  }
  return set
}

/**
 * Embeds and fits the policies of a policy file and returns them with their sources.
 *
 * @throws GabionError as {@link loadPolicies}
 */
export async function preparePolicies(embedder: Embedder, file: string, options: PolicyOptions = {}): Promise<PreparedPolicies> {
  const policies = parsePolicyFile(await readText(file, 'the policies'), file)
  // Statements alone have no thresholds.
  const needsOrdinary = policies.policies.some(({ breaks }) => breaks.length > 0)
  const benign = options.benign ?? policies.benign
  if (benign === null && needsOrdinary) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `${file} names no ordinary conversations to set thresholds on: add a field 'benign', or give --benign FILE`,
    )
  }
  const { signal, onProgress } = options
  const reading: LogReading = {
    store: await VectorStore.open(embedder, WINDOWS, options.cache ?? null),
    refusals: options.refusals ?? new RefusalReader(ENGLISH_REFUSALS),
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: (progress) => {
        onProgress({ doing: 'embedding texts', ...progress })
      },
    }),
  }
  const materials = await embedPolicies(policies, reading)
  const ordinary = benign === null || !needsOrdinary ? [] : await readLog(benign, reading)
  const { model, modelHash, precision } = embedder.info
  const set = readyPolicies(policies, materials, ordinary, reading, {
    embedder: { model, hash: modelHash, precision },
    windows: WINDOWS,
    onPolicy: (done) => onProgress?.({ doing: 'fitting policies', done, total: materials.length }),
  })
  return { file: policies, set, materials, ordinary, reading }
}
