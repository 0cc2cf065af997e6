// Owns the parts of a trained erosion detector and their file format: JSON with vectors as base64 of little-endian floats.
// Knows neither training nor scoring.

import { sha256 } from '../../sha256.js'
import { encodeNumbers, JsonObject } from '../../json/json-object.js'
import type { HeadWeights } from './head.js'
import type { BenignScale } from './level.js'
import type { RefusalLexicon } from './lexicon.js'
import { AGGREGATES, type Aggregate, type Threshold } from './thresholds.js'

const FORMAT = 'gabion-erosion'
const VERSION = 2
/** Version 1 has the same fields, three of them under the names `ninth`, `dcusum` and `licence`. */
const FIRST_VERSION = 1

/** The embedder whose vectors a head was trained on or thresholds were set on. */
export interface EmbedderFingerprint {
  readonly model: string
  /** SHA-256 of the weights, hexadecimal. */
  readonly hash: string
  readonly precision: string
}

/** A typical reply of the training data. */
export interface Anchor {
  readonly side: 'safe' | 'unsafe'
  /** Short description. */
  readonly tag: string
  /** Unit vector. */
  readonly vector: Float32Array
}

/** Thresholds of every aggregate at the two levels, and their source. */
export interface ThresholdSet {
  /** Description, such as `mt-bench-101, the 40 % held out`. */
  readonly source: string
  readonly embedder: EmbedderFingerprint
  readonly scale: BenignScale
  readonly levels: Readonly<Record<Aggregate, { readonly elevated: Threshold; readonly alert: Threshold }>>
}

/** A data set that a head was trained on. */
export interface TrainingSet {
  readonly name: string
  readonly file: string
  readonly sha256: string
  readonly license: string
  /** Exchanges per class, and the class mass. */
  readonly unsafe: { readonly rows: number; readonly mass: number }
  readonly safe: { readonly rows: number; readonly mass: number }
}

/** A trained erosion detector. */
export interface ErosionArtifact {
  /** The variant's (such as `default`), or a name of the owner's choice. */
  readonly name: string
  readonly embedder: EmbedderFingerprint
  /** Size and stride in tokens. */
  readonly windows: { readonly size: number; readonly stride: number }
  readonly head: HeadWeights
  readonly lexicon: RefusalLexicon
  /** `likelihood = 1 / (1 + exp(-(slope * logit + offset)))`. */
  readonly relativeScore: { readonly slope: number; readonly offset: number }
  readonly anchors: readonly Anchor[]
  readonly thresholds: ThresholdSet
  /** Settings of the training. */
  readonly recipe: Readonly<Record<string, number | string | boolean>>
  readonly sets: readonly TrainingSet[]
}

/** The file's text; equal parts give equal bytes. */
export function formatArtifact(artifact: ErosionArtifact): string {
  const { name, embedder, windows, head, lexicon, relativeScore, anchors, thresholds, recipe, sets } = artifact
  const fields = {
    format: FORMAT,
    version: VERSION,
    name,
    embedder,
    windows,
    relativeScore,
    thresholds,
    recipe,
    sets,
    lexicon,
    head: {
      dimensions: head.dimensions,
      intercept: head.intercept,
      flags: head.flags,
      reply: encodeNumbers(Float32Array.from(head.reply)),
      user: encodeNumbers(Float32Array.from(head.user)),
      product: encodeNumbers(Float32Array.from(head.product)),
    },
    anchors: anchors.map(({ side, tag, vector }) => ({ side, tag, vector: encodeNumbers(vector) })),
  }
  return `${JSON.stringify(fields, null, 1)}\n`
}

/** SHA-256 of all that a state depends on: head, scale and thresholds, windows and lexicon. */
export function artifactFingerprint(artifact: ErosionArtifact): string {
  return sha256(formatArtifact(artifact))
}

/** @throws GabionError `ARTIFACT_INVALID` naming the source and the field */
export function parseArtifact(text: string, source: string): ErosionArtifact {
  return artifactOf(JsonObject.parse(text, { source, code: 'ARTIFACT_INVALID', what: 'a detector' }))
}

/** Reads the parts from a file's JSON. */
export function artifactOf(root: JsonObject): ErosionArtifact {
  root.checkFormat(FORMAT, VERSION, FIRST_VERSION)
  const head = root.object('head')
  const dimensions = head.integer('dimensions', 1)
  const flags = head.numbers('flags', 2)
  const windows = root.object('windows')
  const score = root.object('relativeScore')
  const lexicon = root.object('lexicon')
  return {
    name: root.string('name'),
    embedder: readFingerprint(root.object('embedder')),
    windows: { size: windows.integer('size', 1), stride: windows.integer('stride', 1) },
    head: {
      dimensions,
      intercept: head.number('intercept'),
      flags: [flags[0]!, flags[1]!],
      reply: Float64Array.from(head.encoded('reply', Float32Array, dimensions)),
      user: Float64Array.from(head.encoded('user', Float32Array, dimensions)),
      product: Float64Array.from(head.encoded('product', Float32Array, dimensions)),
    },
    lexicon: {
      language: lexicon.string('language'),
      opening: lexicon.integer('opening', 1),
      patterns: lexicon.strings('patterns'),
    },
    relativeScore: { slope: score.number('slope'), offset: score.number('offset') },
    anchors: root.objects('anchors').map((anchor) => ({
      side: anchor.oneOf('side', ['safe', 'unsafe']),
      tag: anchor.string('tag'),
      vector: anchor.encoded('vector', Float32Array, dimensions),
    })),
    thresholds: readThresholdSet(root.object('thresholds')),
    recipe: root.scalars('recipe'),
    sets: root.objects('sets').map((set) => ({
      name: set.string('name'),
      file: set.string('file'),
      sha256: set.string('sha256'),
      license: set.string(set.has('license') ? 'license' : 'licence'),
      unsafe: classOf(set.object('unsafe')),
      safe: classOf(set.object('safe')),
    })),
  }
}

function classOf(reader: JsonObject): TrainingSet['safe'] {
  return { rows: reader.integer('rows', 0), mass: reader.number('mass') }
}

/** Reads the identity of an embedder. */
export function readFingerprint(reader: JsonObject): EmbedderFingerprint {
  return { model: reader.string('model'), hash: reader.string('hash'), precision: reader.string('precision') }
}

/** Reads one threshold from JSON. */
export function readThreshold(from: JsonObject): Threshold {
  return {
    value: from.number('value'),
    budget: from.number('budget'),
    conversations: from.integer('conversations', 1),
    reached: from.integer('reached', 0),
    upperBound: from.number('upperBound'),
  }
}

/** Reads thresholds from JSON of version 1 or 2. */
export function readThresholdSet(reader: JsonObject): ThresholdSet {
  const scale = reader.object('scale')
  const levels = reader.object('levels')
  const both = (aggregate: Aggregate): { elevated: Threshold; alert: Threshold } => {
    const level = levels.object(aggregate === 'decayedCusum' && levels.has('dcusum') ? 'dcusum' : aggregate)
    const [elevated, alert] = [readThreshold(level.object('elevated')), readThreshold(level.object('alert'))]
    if (elevated.value > alert.value) throw level.wrong('elevated', `at most the alert threshold (${String(alert.value)})`)
    return { elevated, alert }
  }
  return {
    source: reader.string('source'),
    embedder: readFingerprint(reader.object('embedder')),
    scale: {
      median: scale.number('median'),
      deviation: scale.positiveNumber('deviation'),
      p90: scale.number(scale.has('ninth') ? 'ninth' : 'p90'),
    },
    levels: Object.fromEntries(AGGREGATES.map((aggregate) => [aggregate, both(aggregate)])) as unknown as ThresholdSet['levels'],
  }
}
