// Owns linear adapters: maps from the vectors of one model to those of another, fitted on texts that both have embedded; their
// quality on held-out pairs; folding with a projection; their file. Knows no embedders.

import { GabionError } from '../errors.js'
import { checkInteger, checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'
import { fitProcrustes, fitRidge, measureMap, type MapQuality } from './adapter-fit.js'
import { readJson, writeJson } from '../json/json-file.js'
import type { JsonObject } from '../json/json-object.js'
import { Projection, type ProjectionModel } from './projection.js'
import { checkFinite, checkShape, type VectorRows } from './vectors.js'

/** Method of a fit. */
export const ADAPTER_METHODS = ['ridge', 'procrustes'] as const
/** See {@link AdapterOptions.method}. */
export type AdapterMethod = (typeof ADAPTER_METHODS)[number]

/** Options of {@link LinearAdapter.fit}. */
export interface AdapterOptions {
  /**
   * `ridge` (default): least squares with a penalty chosen by cross-validation; `procrustes`: a rotation, which preserves lengths
   * and angles, for two models with nearly the same geometry.
   */
  method?: AdapterMethod
  /** The model of the source vectors, saved with the adapter so that a mismatch is detected. */
  model?: ProjectionModel
  /** Name of the model of the target vectors. */
  target?: string
  /** Folds of the cross-validation that chooses the penalty (default 5). */
  folds?: number
  /** Penalties to choose from, as multiples of the source's mean variance; default half decades from 1e-6 to 10. */
  penalties?: readonly number[]
}

/** Report of an adapter's fit. */
export interface AdapterQuality extends MapQuality {
  readonly method: AdapterMethod
  /** Pairs of the fit. */
  readonly pairs: number
  /** Held-out pairs, on which the quality of a map fitted without them is measured. */
  readonly heldBack: number
  /** The chosen penalty; null for a rotation. */
  readonly penalty: number | null
}

const FORMAT = 'gabion-adapter'
const VERSION = 1
/** One pair in this many is held out. */
const HELD_BACK = 5
const DEFAULT_PENALTIES = Array.from({ length: 15 }, (_, index) => 10 ** (-6 + index / 2))

/** A linear map from the vectors of one model to those of another. Immutable. */
export class LinearAdapter {
  /** The map itself: as many components as the target has dimensions. */
  readonly map: Projection
  readonly quality: AdapterQuality
  /** Name of the target model, if known. */
  readonly target: string | null

  private constructor(map: Projection, quality: AdapterQuality, target: string | null) {
    this.map = map
    this.quality = quality
    this.target = target
  }

  /**
   * Fits an adapter on paired vectors: row i of both is the same text. The quality is measured with one pair in five held out; the
   * returned map is fitted on all pairs.
   *
   * @throws GabionError `INVALID_ARGUMENT`, also for too few pairs: with fewer than source dimensions, a map fits by chance
   */
  static fit(from: VectorRows, to: VectorRows, options?: AdapterOptions): LinearAdapter {
    const given = checkOptions('options', options, ['method', 'model', 'target', 'folds', 'penalties'])
    const method = given.method === undefined ? 'ridge' : checkOneOf('method', given.method, ADAPTER_METHODS)
    const folds = given.folds === undefined ? 5 : checkInteger('folds', given.folds, 2, 50)
    const penalties = given.penalties ?? DEFAULT_PENALTIES
    if (!Array.isArray(penalties) || penalties.length === 0 || !penalties.every((value) => Number.isFinite(value) && value > 0))
      throw invalidArgument('penalties', 'an array of positive numbers', penalties)
    checkPairs(from, to)
    const all = Array.from({ length: from.rows }, (_, row) => row)
    const held = all.filter((row) => row % HELD_BACK === HELD_BACK - 1)
    const seen = all.filter((row) => row % HELD_BACK !== HELD_BACK - 1)
    const fitOn = (
      rows: readonly number[],
      choices: readonly number[],
    ): ReturnType<typeof fitRidge> | { map: ReturnType<typeof fitProcrustes>; penalty: null } =>
      method === 'ridge' ? fitRidge(from, to, rows, choices, folds) : { map: fitProcrustes(from, to, rows), penalty: null }
    const trial = fitOn(seen, penalties)
    const quality = measureMap(trial.map, from, to, held)
    const { map } = fitOn(all, [trial.penalty ?? 1])
    const projection = Projection.fromParts({
      components: to.dimensions,
      dimensions: from.dimensions,
      mean: map.mean,
      axes: map.matrix,
      offset: map.offset,
      explainedVariance: new Float64Array(0),
      explainedVarianceRatio: new Float64Array(0),
      model: given.model ?? null,
      fit: { rows: from.rows, standardized: false },
    })
    const target = given.target === undefined ? null : checkString('target', given.target)
    return new LinearAdapter(projection, { method, pairs: from.rows, heldBack: held.length, penalty: trial.penalty, ...quality }, target)
  }

  /** Dimensions of source vectors. */
  get dimensions(): number {
    return this.map.dimensions
  }

  /** Dimensions of mapped vectors. */
  get targetDimensions(): number {
    return this.map.components
  }

  /**
   * Maps one vector.
   *
   * @throws GabionError `PROJECTION_MISMATCH` for another number of dimensions
   */
  apply(vector: Float32Array | Float64Array): Float32Array {
    return this.map.apply(vector)
  }

  /**
   * The composition of adapter and projection, from vectors of this adapter's source to the projection's components. Applied by
   * native code within the embedding call, like any projection.
   *
   * @throws GabionError `PROJECTION_MISMATCH` when the projection is not one of the target's vectors
   */
  fold(projection: Projection): Projection {
    if (!(projection instanceof Projection)) throw invalidArgument('projection', 'a Projection', projection)
    const { map, target } = this
    if (projection.dimensions !== map.components) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection takes vectors of ${String(projection.dimensions)} dimensions, the adapter gives ${String(map.components)}`,
      )
    }
    if (target !== null && projection.model !== null && projection.model.name !== target) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection was fitted on ${projection.model.name}, the adapter gives vectors of ${target}`,
      )
    }
    const { components, dimensions: inner } = projection
    const axes = new Float64Array(components * map.dimensions)
    const offset = projection.offset.slice()
    for (let component = 0; component < components; component++) {
      for (let k = 0; k < inner; k++) {
        const factor = projection.axes[component * inner + k]!
        offset[component]! += factor * (map.offset[k]! - projection.mean[k]!)
        for (let j = 0; j < map.dimensions; j++) axes[component * map.dimensions + j]! += factor * map.axes[k * map.dimensions + j]!
      }
    }
    return Projection.fromParts({
      components,
      dimensions: map.dimensions,
      mean: map.mean,
      axes,
      offset,
      explainedVariance: projection.explainedVariance,
      explainedVarianceRatio: projection.explainedVarianceRatio,
      model: map.model,
      fit: projection.fit,
    })
  }

  /**
   * Saves to one JSON file, atomically.
   *
   * @throws GabionError `INVALID_ARGUMENT` if the file cannot be written, `STORAGE_FAILED` if its file system is full
   */
  async save(file: string): Promise<void> {
    const content = { format: FORMAT, version: VERSION, target: this.target, quality: this.quality, map: this.map.toJSON() }
    await writeJson(checkString('file', file), content)
  }

  /**
   * Loads a saved adapter.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the file and the field
   */
  static async load(file: string): Promise<LinearAdapter> {
    const json = await readJson(checkString('file', file), 'adapter')
    json.checkFormat(FORMAT, VERSION)
    const target = json.fields.target === null ? null : json.string('target')
    const quality = readQuality(json.object('quality'))
    return new LinearAdapter(Projection.fromJSON(json.object('map').fields, file), quality, target)
  }
}

function readQuality(json: JsonObject): AdapterQuality {
  return {
    method: json.oneOf('method', ADAPTER_METHODS),
    pairs: json.number('pairs'),
    heldBack: json.number('heldBack'),
    penalty: json.fields.penalty === null ? null : json.number('penalty'),
    r2: json.number('r2'),
    meanCosine: json.number('meanCosine'),
    lowCosine: json.number('lowCosine'),
  }
}

function checkPairs(from: VectorRows, to: VectorRows): void {
  checkShape(from, 1)
  checkShape(to, 1)
  if (from.rows !== to.rows) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `row i of both must be the same text: there are ${String(from.rows)} source and ${String(to.rows)} target vectors`,
    )
  }
  const least = Math.ceil(((from.dimensions + 1) * HELD_BACK) / (HELD_BACK - 1))
  if (from.rows < least) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `${String(from.rows)} pairs are too few for an adapter from ${String(from.dimensions)} dimensions: one in ${String(HELD_BACK)} is held back, and with no more ` +
        `pairs than dimensions the rest is fitted exactly whatever the truth is; give ${String(least)} or more, better ${String(4 * least)}`,
    )
  }
  checkFinite(from)
  checkFinite(to)
}
