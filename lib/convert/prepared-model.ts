// From what a user names to a folder that can be loaded: pulled from the hub if it is not here, converted if it has no graph that
// fits. What was converted is kept in gabion's own cache, so that the next load finds it; sources are never written to.

import { readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { nodeCrypto } from '../lazy.js'
import { isGabionError } from '../errors.js'
import { withFileLock } from '../files/file-lock.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { GRAPH_FOLDER, type FileRecord, type GraphPrecision } from '../models/graph-manifest.js'
import { findLocalModel, parseHubModel, pullModel, type LocalModel, type PullProgress } from '../models/hub/pull.js'
import { inspectModelFolder, readModelFolder, type ModelDescription } from '../models/model-folder.js'
import { MODEL_MANIFEST, MODEL_MANIFEST_FORMAT } from '../models/model-manifest.js'
import { resolveModelFolder } from '../models/resolve.js'
import { readSentenceTransformer } from '../models/sentence-transformer.js'
import { storageFailure } from '../files/storage.js'
import { findExport, findWeightFiles } from '../models/weight-files.js'
import type { ConversionProgress } from './convert-model.js'
import { CONVERTER_VERSION } from './converter-version.js'
import { makeFolder } from '../files/new-folder.js'

/** How far the way to a model that can be loaded is. */
export type PreparationProgress = ({ stage: 'download' } & PullProgress) | ({ stage: 'convert' } & ConversionProgress)

/** What is asked of {@link prepareModel}. */
export interface PreparationOptions {
  /** Whether one of a model's graphs will do. */
  accepts: (model: ModelDescription) => boolean
  /** The precisions to make of a model none of whose graphs will do: the first that is accepted. */
  make: readonly GraphPrecision[]
  onProgress?: (progress: PreparationProgress) => void
  signal?: AbortSignal
}

/** A tokenizer.json above this is told like weights are: reading it takes longer than all else of a second load. */
const LARGE_BYTES = 1 << 20

const REMEDY = 'Set GABION_CACHE to a folder with room that you may write'

/** Where converted models are kept: `GABION_CACHE`, else `gabion` in the user's cache folder. */
export function conversionCache(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment.GABION_CACHE ?? ''
  if (own !== '') return resolve(own)
  const caches = environment.XDG_CACHE_HOME ?? ''
  return join(caches === '' ? join(homedir(), '.cache') : resolve(caches), 'gabion')
}

/**
 * Makes a model ready to be loaded.
 *
 * @param nameOrFolder a known model's name, a repository of the hub (`owner/name`, with `@revision` or without) or a folder;
 * undefined means the bundled model. A folder of that name wins over a repository
 * @throws GabionError as {@link resolveModelFolder}, {@link pullModel}, {@link readModelFolder} and `convertModel`;
 * `STORAGE_FAILED` if what was converted cannot be kept
 */
export async function prepareModel(nameOrFolder: string | undefined, options: PreparationOptions): Promise<ModelDescription> {
  const local = await findSource(nameOrFolder, options)
  if (!('commit' in local)) return withGraph(local.folder, basename(local.folder), null, options)
  return withGraph(local.folder, local.id, local.commit, options)
}

async function findSource(
  nameOrFolder: string | undefined,
  { onProgress, signal }: PreparationOptions,
): Promise<LocalModel | { folder: string }> {
  const hubModel = nameOrFolder === undefined ? null : parseHubModel(nameOrFolder)
  try {
    return { folder: await resolveModelFolder(nameOrFolder) }
  } catch (error) {
    if (hubModel === null || !isGabionError(error) || error.code !== 'MODEL_NOT_FOUND') throw error
  }
  const here = await findLocalModel(hubModel)
  if (here !== null) return here
  return pullModel(`${hubModel.id}@${hubModel.revision}`, {
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: (progress: PullProgress) => onProgress({ stage: 'download', ...progress }) }),
  })
}

async function withGraph(folder: string, name: string, commit: string | null, options: PreparationOptions): Promise<ModelDescription> {
  const { description: own, lacks } = await inspectModelFolder(folder)
  const fits = lacks === null && options.accepts(own)
  // Without a checkpoint the caller says what is missing of a folder that has graphs.
  if (fits || (lacks === null && !(await canConvert(folder))))
    return commit === null ? own : { ...own, name: displayName(name), revision: commit }
  let model = own
  for (const precision of options.make) {
    model = await converted(folder, name, commit, precision, options)
    if (options.accepts(model)) break
  }
  return model
}

async function canConvert(folder: string): Promise<boolean> {
  const { transformerPath } = await readSentenceTransformer(folder)
  return weightFiles(join(folder, transformerPath)).then(
    () => true,
    () => false,
  )
}

/** The files that an encoder would be converted from. */
async function weightFiles(folder: string): Promise<readonly string[]> {
  const exported = await findExport(folder)
  if (exported === null) return findWeightFiles(folder)
  const { readOnnxFile } = await import('./onnx-file.js')
  return (await readOnnxFile(exported)).files
}

/** `all-mpnet-base-v2` for the publisher's repository, as it is named without a hub. */
export function displayName(id: string): string {
  return id.replace(/^sentence-transformers\//, '')
}

async function converted(
  source: string,
  name: string,
  commit: string | null,
  precision: GraphPrecision,
  options: PreparationOptions,
): Promise<ModelDescription> {
  const key = await identityOf(source)
  const kept = join(conversionCache(), 'models', `${displayName(name).replaceAll('/', '--')}-${key.slice(0, 16)}-${precision}`)
  const found = await readIfThere(kept)
  if (found !== null) return found
  try {
    return await withFileLock(
      `${kept}.lock`,
      async () => {
        const meanwhile = await readIfThere(kept)
        if (meanwhile !== null) return meanwhile
        await makeFolder(kept, true, async (folder) => {
          const { onProgress, signal } = options
          const { convertModel } = await import('./convert-model.js')
          await convertModel({
            source,
            out: folder,
            precisions: [precision],
            overwrite: true,
            measure: true,
            ...(signal === undefined ? {} : { signal }),
            ...(onProgress === undefined
              ? {}
              : { onProgress: (progress: ConversionProgress) => onProgress({ stage: 'convert', ...progress }) }),
          })
          await writeModelManifest(folder, displayName(name), commit)
        })
        return readModelFolder(kept)
      },
      options.signal,
    )
  } catch (error) {
    throw storageFailure(error, kept, REMEDY)
  }
}

/** A kept model that is whole; null if there is none, or it has to be made again. */
async function readIfThere(folder: string): Promise<ModelDescription | null> {
  return readModelFolder(folder).catch(() => null)
}

async function writeModelManifest(folder: string, name: string, revision: string | null): Promise<void> {
  const { configFiles } = await readSentenceTransformer(folder)
  const files: FileRecord[] = []
  for (const file of configFiles) {
    const path = join(folder, file)
    files.push({ file, bytes: (await stat(path)).size, sha256: await sha256OfFiles([path]) })
  }
  const { license } = await readModelFolder(folder)
  const manifest = { format: MODEL_MANIFEST_FORMAT, name, revision, license, files }
  await writeFile(join(folder, MODEL_MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
}

/**
 * Tells one state of a source from another without reading its weights: by the contents of its small files and by place, size
 * and time of the large ones. In the hub's cache a file's place is its content's hash.
 */
async function identityOf(folder: string): Promise<string> {
  const { configFiles, modules, transformerPath } = await readSentenceTransformer(folder)
  const hash = nodeCrypto().createHash('sha256').update(`${CONVERTER_VERSION}\n${GRAPH_FOLDER}\n`)
  const addPlace = async (file: string): Promise<void> => {
    const { size, mtimeMs } = await stat(file)
    hash.update(`${await realpath(file)} ${String(size)} ${String(mtimeMs)}\n`)
  }
  for (const name of configFiles) {
    const file = join(folder, name)
    hash.update(`${name}\n`)
    if ((await stat(file)).size > LARGE_BYTES) await addPlace(file)
    else hash.update(await readFile(file))
  }
  const places = [transformerPath, ...modules.layers.flatMap((layer) => (layer.kind === 'normalize' ? [] : [layer.path]))]
  for (const place of places) for (const file of await weightFiles(join(folder, place))) await addPlace(file)
  return hash.digest('hex')
}
