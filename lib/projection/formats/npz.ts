// Owns projections as NumPy archives (.npz) with scikit-learn's attribute names, for exchange in both directions.

import { numbersOf, type NumpyArray } from '../../files/numpy-array.js'
import { damaged } from '../../files/damage.js'
import { decodeNpy, encodeNpy } from '../../files/npy.js'
import { PythonObject, type PythonKey, type PythonValue } from './python-object.js'
import { writeZip } from './zip.js'
import type { Projection } from '../projection.js'

/** The content of an archive. */
export interface NpzContent {
  /** The estimators, in the form that a pickle gives. */
  readonly estimator: PythonObject
  /** Added last; only archives that gabion wrote have it. */
  readonly offset: Float64Array | null
  readonly model: { name: string; hash: string; precision: string } | null
  readonly fit: { rows: number; standardized: boolean; whitened?: boolean } | null
}

/**
 * Reads `components_` and `mean_` (also without the underscore), and if present `explained_variance_`,
 * `explained_variance_ratio_`, `whiten`, `scaler_mean_` and `scaler_scale_`.
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export function readNpz(files: ReadonlyMap<string, Uint8Array>): NpzContent {
  const arrays = new Map<string, NumpyArray>()
  for (const [name, content] of files) if (name.endsWith('.npy')) arrays.set(name.slice(0, -4), decodeNpy(content))
  const find = (name: string): NumpyArray | undefined => arrays.get(name) ?? arrays.get(name.replace(/_$/, ''))
  if (find('components_') === undefined) {
    const names = [...arrays.keys()].slice(0, 12).join(', ')
    throw damaged(
      `the archive has no array components_; it has ${names || 'none'}. Save it with numpy.savez(file, components_=pca.components_, mean_=pca.mean_, …)`,
    )
  }
  const pca = new PythonObject('sklearn.decomposition._pca.PCA')
  for (const name of ['components_', 'mean_', 'explained_variance_', 'explained_variance_ratio_']) {
    const array = find(name)
    if (array !== undefined) pca.attributes.set(name, array)
  }
  pca.attributes.set('whiten', scalar(find('whiten')) === 1)
  const text = (name: string): string | null => {
    const value = scalar(find(name))
    return typeof value === 'string' ? value : null
  }
  const [name, hash, precision] = [text('model_name'), text('model_hash'), text('model_precision')]
  const rows = scalar(find('fit_rows'))
  const whitened = scalar(find('fit_whitened')) === 1
  const offset = find('offset')
  return {
    estimator: withScaler(pca, find('scaler_mean_'), find('scaler_scale_')),
    offset: offset === undefined ? null : numbersOf(offset, 1, 'offset'),
    model: name === null || hash === null || precision === null ? null : { name, hash, precision },
    fit:
      typeof rows !== 'number' || rows < 1
        ? null
        : { rows, standardized: scalar(find('fit_standardized')) === 1, ...(whitened && { whitened }) },
  }
}

function scalar(array: NumpyArray | undefined): string | number | null {
  return array?.values.length === 1 ? (array.values[0] ?? null) : null
}

function withScaler(pca: PythonObject, mean: NumpyArray | undefined, scale: NumpyArray | undefined): PythonObject {
  if (mean === undefined && scale === undefined) return pca
  const scaler = new PythonObject('sklearn.preprocessing._data.StandardScaler')
  scaler.attributes = new Map<PythonKey, PythonValue>([
    ['with_mean', mean !== undefined],
    ['with_std', scale !== undefined],
    ['mean_', mean ?? null],
    ['scale_', scale ?? null],
  ])
  const pipeline = new PythonObject('sklearn.pipeline.Pipeline')
  pipeline.attributes.set('steps', [
    ['scaler', scaler],
    ['pca', pca],
  ])
  return pipeline
}

/**
 * A projection as a .npz archive that NumPy and {@link readNpz} read: y = components_ · (x − mean_) + offset. Scaling and whitening
 * are folded in, so `whiten` is false.
 */
export function encodeNpz(projection: Projection): Promise<Uint8Array> {
  const { components, dimensions, model, fit } = projection
  const files = new Map<string, Uint8Array>()
  const numbers = (name: string, values: Float64Array, shape: readonly number[]): void =>
    void files.set(`${name}.npy`, encodeNpy(values, shape))
  numbers('components_', projection.axes, [components, dimensions])
  numbers('mean_', projection.mean, [dimensions])
  numbers('offset', projection.offset, [components])
  if (projection.explainedVariance.length > 0) numbers('explained_variance_', projection.explainedVariance, [components])
  if (projection.explainedVarianceRatio.length > 0) numbers('explained_variance_ratio_', projection.explainedVarianceRatio, [components])
  const flag = (name: string, value: number): void => {
    numbers(name, Float64Array.of(value), [])
  }
  flag('whiten', 0)
  if (fit !== null) {
    flag('fit_rows', fit.rows)
    flag('fit_standardized', fit.standardized ? 1 : 0)
    flag('fit_whitened', fit.whitened === true ? 1 : 0)
  }
  if (model !== null) {
    for (const [name, value] of Object.entries({ model_name: model.name, model_hash: model.hash, model_precision: model.precision }))
      files.set(`${name}.npy`, encodeNpy(value, []))
  }
  return writeZip(files)
}
