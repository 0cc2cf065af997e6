// Owns pulling of models from the hub, and the lookup of models pulled earlier.

import type * as PMap from 'p-map'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../../errors.js'
import { checkFunction, checkOptions, checkSignal, checkString } from '../../options.js'
import { findExportFile } from '../export-files.js'
import { findKnownModel } from '../known-models.js'
import { checkAssumedModules, type AssumedModules, type GraphPooling } from '../pooled-modules.js'
import { readSentenceTransformer } from '../sentence-transformer.js'
import { makeFolders, storageFailure } from '../../files/storage.js'
import { findWeightFiles } from '../weight-files.js'
import { RepositoryCache } from './cache.js'
import { HubClient, type RetryPolicy } from './client.js'
import { downloadBlob } from './download.js'
import { isRepositoryId, neededFiles, readRepository, type HubFile, type HubRepository } from './repository.js'
import { readHubSettings, type HubSettings } from './settings.js'
import { lazily } from '../../lazy.js'

const mapping = lazily<typeof PMap>('p-map')

/** A repository of the hub at a revision. */
export interface HubModel {
  /** `owner/name`. */
  id: string
  /** Branch, tag or commit. */
  revision: string
}

/** A model on this machine. */
export interface LocalModel extends HubModel {
  /** Absolute path of its folder, which is complete. */
  folder: string
  commit: string
}

/** Progress of a download. */
export interface PullProgress {
  /** The file with the latest progress. */
  file: string
  bytes: number
  totalBytes: number
}

/** Options of {@link pullModel}. */
export interface PullOptions {
  onProgress?: (progress: PullProgress) => void
  signal?: AbortSignal
  /** Retry policy of failed requests. */
  retry?: Partial<RetryPolicy>
  /** Pooling of a repository without modules.json, which is refused without it. */
  pooling?: GraphPooling
  /** Whether vectors of such a repository are scaled to unit length; default true. */
  normalize?: boolean
}

const MAIN = 'main'
const FILES_AT_ONCE = 4
const SPARE_BYTES = 16 * 1024 * 1024
const CACHE_REMEDY = 'Set HF_HOME or HF_HUB_CACHE to a folder with room that you may write'

/** Parses `name` or `owner/name`, optionally with `@revision`; null for an invalid repository name. */
export function parseHubModel(text: string): HubModel | null {
  const [, name = '', revision = MAIN] = /^([^@]*)(?:@(.+))?$/.exec(text) ?? []
  const id = findKnownModel(name)?.identifier ?? name
  return isRepositoryId(id) ? { id, revision } : null
}

/** Whether a folder has all files of a model. */
async function isComplete(folder: string, assumed: AssumedModules | undefined): Promise<boolean> {
  try {
    const { modules, transformerPath } = await readSentenceTransformer(folder, assumed)
    const hasExport = findExportFile(folder) !== null
    if (!hasExport) await findWeightFiles(join(folder, transformerPath))
    for (const layer of modules.layers) if (layer.kind !== 'normalize') await findWeightFiles(join(folder, layer.path))
    return true
  } catch {
    return false
  }
}

/** A model in the cache, whichever tool stored it; null if it is missing or incomplete. Sends no request. */
export async function findLocalModel(model: HubModel, settings?: HubSettings, assumed?: AssumedModules): Promise<LocalModel | null> {
  const cache = new RepositoryCache(settings ?? (await readHubSettings()), model.id)
  const commit = await cache.commitOf(model.revision)
  if (commit === null) return null
  const folder = cache.snapshot(commit)
  return (await isComplete(folder, assumed)) ? { ...model, folder, commit } : null
}

/**
 * Pulls a model: resolves the revision on the hub and downloads missing files.
 *
 * Files go to Hugging Face's own cache; each is checked against the hub's hash before it is renamed. An interrupted download
 * resumes, also in another process; two processes may pull the same model.
 *
 * @param name a known model's name or `owner/name`, with `@revision` or without
 * @throws GabionError `HUB_UNREACHABLE` (also with HF_HUB_OFFLINE), `HUB_REFUSED`, `MODEL_NOT_FOUND`, `MODEL_UNSUPPORTED`,
 * `CHECKSUM_MISMATCH`, `STORAGE_FAILED`, `INVALID_ARGUMENT`, `ABORTED`
 */
export async function pullModel(name: string, given: PullOptions = {}): Promise<LocalModel> {
  const model = parseHubModel(checkString('name', name))
  if (model === null) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `name must be a known model or owner/name, with @revision or without, got ${JSON.stringify(name)}`,
    )
  }
  const { onProgress, signal, retry, ...layout } = checkOptions('options', given, ['onProgress', 'signal', 'retry', 'pooling', 'normalize'])
  const assumed = checkAssumedModules(layout)
  if (onProgress !== undefined) checkFunction('options.onProgress', onProgress)
  if (signal !== undefined) checkSignal('options.signal', signal)
  const settings = await readHubSettings()
  if (settings.offline) {
    const local = await findLocalModel(model, settings, assumed)
    if (local !== null) return local
    throw await notHere(model, settings)
  }
  // The first failure aborts the other files.
  const stop = new AbortController()
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  await using client = new HubClient(settings, either, retry)
  return await pull(client, model, assumed !== undefined, onProgress, either, () => stop.abort())
}

async function notHere({ id, revision }: HubModel, settings: HubSettings): Promise<GabionError> {
  const others = (await new RepositoryCache(settings, id).revisions()).filter((other) => other !== revision)
  const wanted = `${id}${revision === MAIN && others.length === 0 ? '' : `@${revision}`}`
  const present = others.length === 0 ? '' : `, which has its revision ${others.join(', ')}`
  return new GabionError(
    'HUB_UNREACHABLE',
    `${wanted} is not on this machine (looked in ${settings.cacheFolder}${present}) and HF_HUB_OFFLINE is set; ` +
      'pull it once with a network, or copy its folder here and give its path',
  )
}

async function pull(
  client: HubClient,
  model: HubModel,
  isPlain: boolean,
  onProgress: PullOptions['onProgress'],
  signal: AbortSignal,
  stop: () => void,
): Promise<LocalModel> {
  const repository = await readRepository(client, model.id, model.revision)
  const files = neededFiles(repository, isPlain)
  const cache = new RepositoryCache(client.settings, model.id)
  try {
    await makeFolders(cache.folder)
    await requireRoom(cache, files)
    await downloadAll(client, cache, repository, files, onProgress, signal, stop)
    await cache.keepCommit(model.revision, repository.commit)
  } catch (error) {
    throw storageFailure(error, cache.folder, CACHE_REMEDY)
  }
  return { ...model, folder: cache.snapshot(repository.commit), commit: repository.commit }
}

async function downloadAll(
  client: HubClient,
  cache: RepositoryCache,
  repository: HubRepository,
  files: readonly HubFile[],
  onProgress: PullOptions['onProgress'],
  signal: AbortSignal,
  stop: () => void,
): Promise<void> {
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0)
  const done = new Map<string, number>()
  const report = (file: HubFile, bytes: number): void => {
    done.set(file.path, bytes)
    onProgress?.({ file: file.path, bytes: [...done.values()].reduce((sum, each) => sum + each, 0), totalBytes })
  }
  const bring = async (file: HubFile): Promise<void> => {
    if (!(await cache.has(repository.commit, file))) {
      await downloadBlob(client, cache, repository, file, { onBytes: (bytes) => report(file, bytes), signal })
      await cache.place(repository.commit, file)
    }
    report(file, file.bytes)
  }
  // Waits for all, so that nothing is written after the call returns; failures caused by the first one are not reported.
  const failures: unknown[] = []
  const bringOrStop = async (file: HubFile): Promise<void> => {
    if (failures.length > 0) return
    await bring(file).catch((error: unknown) => {
      failures.push(error)
      stop()
    })
  }
  await mapping().default(files, bringOrStop, { concurrency: FILES_AT_ONCE })
  if (failures.length > 0) throw failures[0]
}

/** Throws before the download if the disk is too small for it. */
async function requireRoom(cache: RepositoryCache, files: readonly HubFile[]): Promise<void> {
  let needed = 0
  for (const file of files) if (!(await cache.hasBlob(file))) needed += file.bytes
  const { bavail, bsize } = await statfs(cache.folder)
  if (needed + SPARE_BYTES <= bavail * bsize) return
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`
  throw new GabionError(
    'STORAGE_FAILED',
    `cannot write ${cache.folder}: the download takes ${megabytes(needed)}, its file system has ${megabytes(bavail * bsize)} left. ${CACHE_REMEDY}`,
  )
}
