// Owns loading of a classic detector: the bundled planes or the caller's own, and the direction of safe ground.
// Knows a minimal interface of an embedder, no implementation.

import { join } from 'node:path'
import { GabionError, wrongType } from '../errors.js'
import { checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'
import { Projection } from '../projection/projection.js'
import { ClassicDetector, type ClassicPreset, type ClassicThresholds, type ClassicWeights } from './classic.js'
import { packagePath } from '../package-folder.js'

/** Folder of the bundled planes. */
export const CLASSIC_FOLDER = packagePath('models', 'detectors', 'classic')

/** The reply whose direction is safe ground for the `deployment` preset by default. */
export const DEPLOYMENT_SAFE_TEXT = "I'm sorry, but I can't help with that request."

/** The second axis of the plane, safe ground for the `demo` preset. */
const DEMO_SAFE_VECTOR = [0, 1]

/** Embeds and projects the safe text; an `Embedder` fits. */
export interface PointSource {
  embed(text: string, options: { projection: Projection }): Promise<Float32Array>
}

/** Options of {@link loadClassicDetector}. */
export interface ClassicOptions {
  /** Default `demo`. */
  preset?: ClassicPreset
  /** A fitted projection or its file, instead of the bundled one of the preset. */
  projection?: Projection | string
  /** A text on safe ground, such as a plain refusal. */
  safeText?: string
  /** The direction of safe ground itself, one value per component; instead of `safeText`. */
  safe?: ArrayLike<number>
  /** Replaces single weights of the preset. */
  weights?: Partial<ClassicWeights>
  /** Replaces single thresholds. */
  thresholds?: Partial<ClassicThresholds>
}

/**
 * Creates a classic detector for the vectors of an embedder. Default: the `demo` preset on the bundled plane, with its
 * second axis as safe ground; `deployment` takes the direction of a plain refusal.
 *
 * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID`, or `PROJECTION_MISMATCH` when the plane was fitted on another
 *   model (fit one with `gabion pca fit` on the bundled `safe-sentences.txt`)
 */
export async function loadClassicDetector(embedder: PointSource, options?: ClassicOptions): Promise<ClassicDetector> {
  const given = checkOptions('classic', options, ['preset', 'projection', 'safeText', 'safe', 'weights', 'thresholds'])
  const preset = given.preset === undefined ? 'demo' : checkOneOf('classic.preset', given.preset, ['demo', 'deployment'])
  if (given.safe !== undefined && given.safeText !== undefined) {
    throw wrongType('classic.safe and classic.safeText exclude each other: give one of them')
  }
  const projection = await openProjection(given.projection ?? join(CLASSIC_FOLDER, `${preset}.projection.json`))
  return new ClassicDetector({
    preset,
    projection,
    safe: given.safe ?? (await safeVector(embedder, projection, preset, given.safeText)),
    ...(given.weights !== undefined && { weights: given.weights }),
    ...(given.thresholds !== undefined && { thresholds: given.thresholds }),
  })
}

async function openProjection(projection: unknown): Promise<Projection> {
  if (projection instanceof Projection) return projection
  if (typeof projection === 'string') return Projection.load(projection)
  throw invalidArgument('classic.projection', 'a Projection or the name of its file', projection)
}

async function safeVector(
  embedder: PointSource,
  projection: Projection,
  preset: ClassicPreset,
  safeText: string | undefined,
): Promise<ArrayLike<number>> {
  if (safeText === undefined && preset === 'demo') {
    if (projection.components === DEMO_SAFE_VECTOR.length) return DEMO_SAFE_VECTOR
    throw new GabionError(
      'INVALID_ARGUMENT',
      `the demo preset knows safe ground in 2 components only, the projection has ${String(projection.components)}: give classic.safeText or classic.safe`,
    )
  }
  const text = safeText === undefined ? DEPLOYMENT_SAFE_TEXT : checkString('classic.safeText', safeText)
  if (text.trim() === '') throw invalidArgument('classic.safeText', 'a text with words in it', text)
  return embedder.embed(text, { projection })
}
