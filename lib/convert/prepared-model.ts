// Owns the steps from a model's name to a loadable folder: pulled from the hub if missing, converted if it has no suitable graph.
// Converted models are stored in gabion's own cache for later loads; sources are never written to.

import { mkdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { nodeCrypto } from '../lazy.js'
import { GabionError, isGabionError } from '../errors.js'
import { withFileLock } from '../files/file-lock.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { writeWhole } from '../files/pending-file.js'
import { sizeOfFile } from '../models/folder-entries.js'
import { GRAPH_FOLDER, type FileRecord, type GraphPrecision } from '../models/graph-manifest.js'
import { findLocalModel, parseHubModel, pullModel, type LocalModel, type PullProgress } from '../models/hub/pull.js'
import { inspectModelFolder, readModelFolder, type FolderChoice, type ModelDescription } from '../models/model-folder.js'
import type { AssumedModules } from '../models/pooled-modules.js'
import { MODEL_MANIFEST, MODEL_MANIFEST_FORMAT } from '../models/model-manifest.js'
import { resolveModelFolder } from '../models/resolve.js'
import { readSentenceTransformer } from '../models/sentence-transformer.js'
import { storageFailure } from '../files/storage.js'
import { findExport, findWeightFiles } from '../models/weight-files.js'
import type { ConversionProgress } from './convert-model.js'
import { CONVERTER_VERSION } from './converter-version.js'
import { makeFolder } from '../files/new-folder.js'

/** Progress of the preparation of a model: download, then conversion. */
export type PreparationProgress = ({ stage: 'download' } & PullProgress) | ({ stage: 'convert' } & ConversionProgress)

/** Options of `prepareModel`. */
export interface PreparationOptions {
  /** Whether a model can be loaded as it is: from one of its graphs or from its checkpoint. */
  accepts: (model: ModelDescription) => boolean | Promise<boolean>
  /** Precisions to convert to without a suitable graph: the first that is accepted. */
  make: readonly GraphPrecision[]
  /** Which ONNX export is run where the folder has no graphs of gabion's, and what a folder without modules.json does. */
  choice?: FolderChoice
  onProgress?: (progress: PreparationProgress) => void
  signal?: AbortSignal
}

/** A larger tokenizer.json is identified by size and time, as weights are: reading it would dominate a second load. */
const LARGE_BYTES = 1 << 20

const REMEDY = 'Set GABION_CACHE to a folder with room that you may write'

/** Folder of converted models: `GABION_CACHE`, else `gabion` in the user's cache folder. */
export function conversionCache(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment.GABION_CACHE ?? ''
  if (own !== '') return resolve(own)
  const caches = environment.XDG_CACHE_HOME ?? ''
  return join(caches === '' ? join(homedir(), '.cache') : resolve(caches), 'gabion')
}

/**
 * Prepares a model for loading.
 *
 * @param nameOrFolder a known model's name, a repository of the hub (`owner/name`, with `@revision` or without) or a folder;
 * undefined means the bundled model. A folder of that name wins over a repository
 * @throws GabionError as {@link resolveModelFolder}, {@link pullModel}, {@link readModelFolder} and `convertModel`;
 * `STORAGE_FAILED` if the converted model cannot be stored
 */
export async function prepareModel(nameOrFolder: string | undefined, options: PreparationOptions): Promise<ModelDescription> {
  const local = await findSource(nameOrFolder, options)
  if (!('commit' in local)) return withGraph(local.folder, basename(local.folder), null, options)
  return withGraph(local.folder, local.id, local.commit, options)
}

async function findSource(
  nameOrFolder: string | undefined,
  { onProgress, signal, choice }: PreparationOptions,
): Promise<LocalModel | { folder: string }> {
  const hubModel = nameOrFolder === undefined ? null : parseHubModel(nameOrFolder)
  try {
    return { folder: await resolveModelFolder(nameOrFolder) }
  } catch (error) {
    if (hubModel === null || !isGabionError(error) || error.code !== 'MODEL_NOT_FOUND') throw error
  }
  const assumed = choice?.assumed
  const here = await findLocalModel(hubModel, undefined, assumed)
  if (here !== null) return here
  return pullModel(`${hubModel.id}@${hubModel.revision}`, {
    ...assumed,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: (progress: PullProgress) => onProgress({ stage: 'download', ...progress }) }),
  })
}

async function withGraph(folder: string, name: string, commit: string | null, options: PreparationOptions): Promise<ModelDescription> {
  const { description: own, lacks, tokenizer } = await inspectModelFolder(folder, options.choice)
  const fits = (lacks === null || own.encoderFolder !== null) && (await options.accepts(own))
  // Without a checkpoint, the caller reports what the folder lacks.
  if (fits || (lacks === null && !(await canConvert(folder, options))))
    return {
      ...own,
      ...(commit === null ? {} : { name: displayName(name), revision: commit }),
      ...(tokenizer === null ? {} : { tokenizerFile: await keptTokenizer(tokenizer) }),
    }
  let model = own
  for (const precision of options.make) {
    model = await converted(folder, name, commit, precision, options).catch((error: unknown) => {
      // An export that does not do alone: why not comes first.
      if (lacks === null || own.graphs.length === 0 || !isGabionError(error) || error.code !== 'MODEL_UNSUPPORTED') throw error
      throw new GabionError('MODEL_UNSUPPORTED', `${lacks.message} (${error.message})`, { cause: error })
    })
    if (await options.accepts(model)) break
  }
  return model
}

/** Path of a file with a tokenizer, in gabion's own cache. */
export async function keptTokenizer(json: string): Promise<string> {
  const hash = nodeCrypto().createHash('sha256').update(json).digest('hex')
  const file = join(conversionCache(), 'tokenizers', `${hash.slice(0, 32)}.json`)
  if (sizeOfFile(file) === Buffer.byteLength(json)) return file
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeWhole(file, json)
  } catch (error) {
    throw storageFailure(error, file, REMEDY)
  }
  return file
}

async function canConvert(folder: string, { choice }: PreparationOptions): Promise<boolean> {
  const { transformerPath } = await readSentenceTransformer(folder, choice?.assumed)
  return weightFiles(join(folder, transformerPath)).then(
    () => true,
    () => false,
  )
}

/** The source files of a conversion. */
async function weightFiles(folder: string): Promise<readonly string[]> {
  const exported = await findExport(folder)
  if (exported === null) return findWeightFiles(folder)
  const { readOnnxFile } = await import('./onnx-file.js')
  return (await readOnnxFile(exported)).files
}

/** The short name of a known publisher's repository, such as `all-mpnet-base-v2`. */
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
  const assumed = options.choice?.assumed
  const key = await identityOf(source, assumed)
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
            ...assumed,
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

/** A complete converted model of the cache; null if there is none, or it is outdated. */
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
 * Fingerprint of a source without reading its weights: contents of its small files; path, size and time of the large ones. In the
 * hub's cache a file's path contains its content's hash.
 */
async function identityOf(folder: string, assumed: AssumedModules | undefined): Promise<string> {
  const { configFiles, modules, transformerPath } = await readSentenceTransformer(folder, assumed)
  const hash = nodeCrypto().createHash('sha256').update(`${CONVERTER_VERSION}\n${GRAPH_FOLDER}\n`)
  if (assumed !== undefined) hash.update(JSON.stringify(assumed))
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
