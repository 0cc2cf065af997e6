// Owns the conversion of scikit-learn's estimators to one affine map: PCA, StandardScaler and pipelines of them.
// Knows no file format.

import { numbersOf } from '../files/numpy-array.js'
import { damaged } from '../files/damage.js'
import { PythonObject, type PythonValue } from './formats/python-object.js'
import { whiteningScale } from './pca.js'
import type { ProjectionParts } from './projection.js'

/** y = axes · (x − mean) + offset, with the fit's metadata. */
export type AffineMap = Omit<ProjectionParts, 'model' | 'fit' | 'offset'> & {
  readonly offset: Float64Array
  readonly standardized: boolean
  readonly whitened: boolean
  /** Vectors of the fit, when known. */
  readonly rows: number | null
}

/** One estimator: a scaler divides each dimension, a PCA multiplies with a matrix. */
type Step =
  | { readonly kind: 'scaler'; readonly dimensions: number; readonly mean: Float64Array | null; readonly scale: Float64Array | null }
  | ({ readonly kind: 'pca' } & AffineMap)

/** Bounds the matrix that a scaler alone becomes. */
const MAX_SCALER_DIMENSIONS = 3072
/** In a pipeline, nested ones included. */
const MAX_STEPS = 20
/** Multiplications to fold one PCA into the next; no useful pipeline needs more. */
const MAX_PRODUCTS = 1e9

/**
 * The map of an estimator.
 *
 * @throws GabionError `ARTIFACT_INVALID` for another estimator, one that is not fitted, or one whose parts do not fit together
 */
export function affineOfEstimator(value: PythonValue): AffineMap {
  const steps: Step[] = []
  collectSteps(value, new Set(), steps)
  return foldSteps(steps)
}

/**
 * A scaler's map before another map.
 *
 * @param value the scaler, or a pipeline of scalers
 * @throws GabionError `ARTIFACT_INVALID` as {@link affineOfEstimator}
 */
export function scalerBefore(value: PythonValue, next: AffineMap): AffineMap {
  const steps: Step[] = []
  collectSteps(value, new Set(), steps)
  return foldSteps([...steps, { kind: 'pca', ...next }])
}

function collectSteps(value: PythonValue, above: ReadonlySet<PythonObject>, steps: Step[]): void {
  if (!(value instanceof PythonObject))
    throw damaged('holds no estimator of scikit-learn: a PCA, a StandardScaler or a Pipeline of them is expected')
  if (!value.className.endsWith('.Pipeline')) {
    // A pipeline may be referenced many times, also within others, so steps are counted over all of them.
    if (steps.length === MAX_STEPS) throw damaged(`the pipeline has more than ${String(MAX_STEPS)} steps`)
    steps.push(stepOf(value))
    return
  }
  if (above.has(value)) throw damaged('the pipeline is a step of itself')
  if (above.size === MAX_STEPS) throw damaged('the pipeline holds pipelines too deep in each other')
  const list = value.attributes.get('steps')
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_STEPS) throw damaged('the pipeline has no list of steps')
  const within = new Set(above).add(value)
  for (const step of list as readonly PythonValue[]) {
    const estimator = Array.isArray(step) && step.length === 2 ? (step as readonly PythonValue[])[1] : undefined
    if (estimator === undefined) throw damaged('a step of the pipeline is no pair of name and estimator')
    if (estimator !== null && estimator !== 'passthrough') collectSteps(estimator, within, steps)
    else if (steps.length === 0 && list.length === 1) throw damaged('the pipeline does nothing')
  }
}

function stepOf(object: PythonObject): Step {
  if (/\.(?:Incremental)?PCA$/.test(object.className)) return pcaStep(object)
  if (object.className.endsWith('.StandardScaler')) return scalerStep(object)
  throw damaged(`${object.className} is not an estimator that is read`)
}

function arrayOf(object: PythonObject, name: string, axes: number): { numbers: Float64Array; shape: readonly number[] } {
  const value = object.attributes.get(name)
  const short = object.className.split('.').at(-1) ?? ''
  if (typeof value !== 'object' || value === null || !('values' in value) || !('shape' in value))
    throw damaged(`the ${short} has no ${name}: was it saved before it was fitted?`)
  return { numbers: numbersOf(value, axes, `${name} of the ${short}`), shape: value.shape }
}

function pcaStep(object: PythonObject): Step {
  const { numbers: axes, shape } = arrayOf(object, 'components_', 2)
  const [components = 0, dimensions = 0] = shape
  if (components < 1 || dimensions < 1) throw damaged('components_ of the PCA is empty')
  const isCentered = object.attributes.get('mean_') !== null && object.attributes.has('mean_')
  const mean = isCentered ? arrayOf(object, 'mean_', 1).numbers : new Float64Array(dimensions)
  if (mean.length !== dimensions) throw damaged(`mean_ has ${String(mean.length)} values, components_ ${String(dimensions)} columns`)
  const known = (name: string): Float64Array => {
    if (!object.attributes.has(name)) return new Float64Array(0)
    const { numbers } = arrayOf(object, name, 1)
    if (numbers.length !== components) throw damaged(`${name} has ${String(numbers.length)} values, components_ ${String(components)} rows`)
    return numbers
  }
  const explainedVariance = known('explained_variance_')
  const whitened = object.attributes.get('whiten') === true
  if (whitened && explainedVariance.length === 0) throw damaged('a PCA that whitens needs explained_variance_')
  const rows = object.attributes.get('n_samples_')
  return {
    kind: 'pca',
    components,
    dimensions,
    mean,
    axes: whitened ? axes.map((value, at) => value / whiteningScale(explainedVariance[Math.floor(at / dimensions)]!)) : axes,
    offset: new Float64Array(components),
    explainedVariance,
    explainedVarianceRatio: known('explained_variance_ratio_'),
    standardized: false,
    whitened,
    rows: typeof rows === 'number' && Number.isSafeInteger(rows) && rows > 0 ? rows : null,
  }
}

function scalerStep(object: PythonObject): Step {
  const isOn = (flag: string): boolean => object.attributes.get(flag) !== false
  const mean = isOn('with_mean') ? arrayOf(object, 'mean_', 1).numbers : null
  const scale = isOn('with_std') ? arrayOf(object, 'scale_', 1).numbers : null
  const dimensions = mean?.length ?? scale?.length ?? Number(object.attributes.get('n_features_in_'))
  if (!Number.isSafeInteger(dimensions) || dimensions < 1 || dimensions > MAX_SCALER_DIMENSIONS)
    throw damaged(`the StandardScaler has ${String(dimensions)} dimensions, from 1 to ${String(MAX_SCALER_DIMENSIONS)} are read`)
  if (scale !== null && scale.length !== dimensions) throw damaged('mean_ and scale_ of the StandardScaler have different lengths')
  if (scale?.some((value) => value === 0) === true) throw damaged('scale_ of the StandardScaler holds a zero')
  return { kind: 'scaler', dimensions, mean, scale }
}

/** All steps as one map: a factor per dimension up to the first PCA, a matrix after it. */
function foldSteps(steps: readonly Step[]): AffineMap {
  const first = steps[0]
  if (first === undefined) throw damaged('the pipeline has no steps')
  const { dimensions } = first
  let factors: Float64Array = new Float64Array(dimensions).fill(1)
  // The map's mean so far: the vector that maps to zero, or to the offset once there is a matrix.
  let mean: Float64Array = new Float64Array(dimensions)
  let map: AffineMap | null = null
  for (const step of steps) {
    const width = map?.components ?? dimensions
    if (step.dimensions !== width) throw damaged(`a step gives ${String(width)} values, the next one takes ${String(step.dimensions)}`)
    if (map !== null) map = step.kind === 'scaler' ? scaled(map, step) : projected(map, step)
    else if (step.kind === 'scaler') {
      mean = mean.map((value, j) => value + (step.mean?.[j] ?? 0) / factors[j]!)
      factors = factors.map((value, j) => value / (step.scale?.[j] ?? 1))
    } else {
      const axes = step.axes.map((value, at) => value * factors[at % dimensions]!)
      map = { ...step, axes, mean: mean.map((value, j) => value + step.mean[j]! / factors[j]!) }
    }
  }
  const standardized = map?.standardized === true || steps.some(({ kind }) => kind === 'scaler')
  if (map !== null) return { ...map, standardized }
  return {
    ...{ components: dimensions, dimensions, mean, axes: diagonal(factors), offset: new Float64Array(dimensions) },
    ...{ explainedVariance: new Float64Array(0), explainedVarianceRatio: new Float64Array(0) },
    ...{ standardized, whitened: false, rows: null },
  }
}

function scaled(map: AffineMap, { mean, scale }: Step & { kind: 'scaler' }): AffineMap {
  return {
    ...map,
    axes: map.axes.map((value, at) => value / (scale?.[Math.floor(at / map.dimensions)] ?? 1)),
    offset: map.offset.map((value, component) => (value - (mean?.[component] ?? 0)) / (scale?.[component] ?? 1)),
  }
}

function projected(map: AffineMap, step: Step & { kind: 'pca' }): AffineMap {
  const shift = map.offset.map((value, k) => value - step.mean[k]!)
  return {
    ...step,
    dimensions: map.dimensions,
    mean: map.mean,
    axes: product(step, map.axes, map.dimensions),
    offset: step.offset.map((value, component) => value + dot(step.axes, component * step.dimensions, shift)),
    rows: map.rows ?? step.rows,
    whitened: step.whitened || map.whitened,
  }
}

function dot(matrix: Float64Array, from: number, vector: Float64Array): number {
  let sum = 0
  for (let j = 0; j < vector.length; j++) sum += matrix[from + j]! * vector[j]!
  return sum
}

function diagonal(factors: Float64Array): Float64Array {
  const matrix = new Float64Array(factors.length ** 2)
  for (let j = 0; j < factors.length; j++) matrix[j * (factors.length + 1)] = factors[j]!
  return matrix
}

function product(step: AffineMap, axes: Float64Array, dimensions: number): Float64Array {
  const inner = step.dimensions
  if (step.components * inner * dimensions > MAX_PRODUCTS) throw damaged('the pipeline folds matrices that are too large')
  const result = new Float64Array(step.components * dimensions)
  for (let component = 0; component < step.components; component++) {
    for (let k = 0; k < inner; k++) {
      const factor = step.axes[component * inner + k]!
      for (let j = 0; j < dimensions; j++) result[component * dimensions + j]! += factor * axes[k * dimensions + j]!
    }
  }
  return result
}
