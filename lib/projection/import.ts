// Owns the import of projections: scikit-learn's as pickle, joblib or skops, NumPy archives, and gabion's own.
// The first bytes determine the format, not the name. Nothing in a file is ever executed.

import { open } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { checkOptions, checkString } from '../options.js'
import { affineOfEstimator, scalerBefore, type AffineMap } from './estimator.js'
import type { PythonValue } from './formats/python-object.js'
import { damaged, naming } from '../files/damage.js'
import { readPickleFile } from './formats/joblib.js'
import { readNpz, type NpzContent } from './formats/npz.js'
import { readSkops } from './formats/skops.js'
import { readZip } from './formats/zip.js'
import { Projection, type ProjectionModel } from './projection.js'

/** Larger than any useful projection. */
const MAX_BYTES = 256 * 1024 * 1024

/** Options of {@link importProjection}. */
export interface ImportOptions {
  /** The model whose vectors the projection takes; third-party files do not record it. */
  model?: ProjectionModel
  /** A file with the StandardScaler that comes before the PCA, where the two were saved apart. */
  scaler?: string
}

/**
 * Reads a projection from a scikit-learn `PCA`, `IncrementalPCA`, `StandardScaler` or `Pipeline` of them (pickle, joblib, skops),
 * from a NumPy archive (`.npz`), or from a projection that gabion saved. Pickles are read as data; names other than these classes
 * are refused.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the file and what is wrong with it
 */
export async function importProjection(file: string, options?: ImportOptions): Promise<Projection> {
  const { model, scaler } = checkOptions('options', options, ['model', 'scaler'])
  const found = await readFileOf(checkString('file', file))
  if (found instanceof Projection && scaler === undefined && model === undefined) return found
  const own = found instanceof Projection ? found : found.npz
  const map = await naming(file, async () => {
    const last = found instanceof Projection ? mapOf(found) : affineOfEstimator(found.estimator)
    const offset = found instanceof Projection ? null : (found.npz?.offset ?? null)
    const whole = offset === null ? last : { ...last, offset }
    return scaler === undefined ? whole : scalerBefore(await readScaler(scaler), whole)
  })
  const { rows, standardized, whitened, ...parts } = map
  return Projection.fromParts({
    ...parts,
    model: model ?? own?.model ?? null,
    fit: own?.fit ?? (rows === null ? null : { rows, standardized, ...(whitened && { whitened }) }),
  })
}

function mapOf({ components, dimensions, mean, axes, offset, explainedVariance, explainedVarianceRatio, fit }: Projection): AffineMap {
  return {
    ...{ components, dimensions, mean, axes, offset, explainedVariance, explainedVarianceRatio },
    standardized: fit?.standardized === true,
    whitened: fit?.whitened === true,
    rows: fit?.rows ?? null,
  }
}

async function readScaler(file: string): Promise<PythonValue> {
  const found = await readFileOf(checkString('scaler', file))
  if (found instanceof Projection || found.npz !== null)
    throw new GabionError('ARTIFACT_INVALID', `${file}: expected a StandardScaler of scikit-learn`)
  return found.estimator
}

type Found = Projection | { readonly estimator: PythonValue; readonly npz: NpzContent | null }

async function readFileOf(file: string): Promise<Found> {
  const bytes = await readWhole(file)
  if (bytes[0] === 0x7b) return Projection.load(file)
  return naming(file, async () => {
    if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) return { estimator: await readPickleFile(bytes), npz: null }
    const files = await readZip(bytes)
    if (files.has('schema.json')) return { estimator: readSkops(files), npz: null }
    const npz = readNpz(files)
    return { estimator: npz.estimator, npz }
  })
}

async function readWhole(file: string): Promise<Buffer> {
  let handle
  try {
    handle = await open(file)
    const { size } = await handle.stat()
    if (size > MAX_BYTES) throw damaged(`is larger than ${String(MAX_BYTES / 2 ** 20)} MiB: no projection needs as much`)
    return await handle.readFile()
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `cannot read the projection ${file}: ${(cause as Error).message}`, { cause })
  } finally {
    await handle?.close()
  }
}
