// Owns the manifest of converted graphs (`onnx/manifest.json`): sources, outputs and their hashes.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { readConfigIfPresent } from './config-file.js'

/** Name of the folder of graphs inside a model folder. */
export const GRAPH_FOLDER = 'onnx'
/** Name of the manifest inside that folder. */
export const GRAPH_MANIFEST = 'manifest.json'
/** Value of the manifest's `format` field. */
export const GRAPH_MANIFEST_FORMAT = 'gabion-graphs-1'

/** Precisions of graphs. */
export const GRAPH_PRECISIONS = ['fp32', 'bf16', 'int8', 'fp16'] as const

/** A graph's precision; part of the identity of every vector that it makes. */
export type GraphPrecision = (typeof GRAPH_PRECISIONS)[number]

/** Target devices of graphs; all graphs also run on a CPU, at another speed. */
export const GRAPH_TARGETS = ['cpu', 'cuda'] as const

/** Target device of a graph. */
export type GraphTarget = (typeof GRAPH_TARGETS)[number]

/** A file with its expected size and hash. */
export interface FileRecord {
  /** Relative to the folder of the manifest that lists it. */
  file: string
  bytes: number
  /** Hex digest. */
  sha256: string
}

/** Agreement of a graph's vectors with a reference, over texts. */
export interface Parity {
  /** Source of the reference vectors. */
  reference: string
  texts: number
  worstCosine: number
  meanCosine: number
  /** Largest absolute difference of one component of two unit vectors. */
  worstElement: number
}

/** A graph with its weights file. */
export interface GraphRecord extends FileRecord {
  precision: GraphPrecision
  /** Target device of the graph. */
  target: GraphTarget
  weights: FileRecord
  /** A graph over the same weights whose encoder is gabion's own operator; null where there is none. */
  fused: FileRecord | null
  /** Null until it has been measured. */
  parity: Parity | null
}

/** The whole manifest. */
export interface GraphManifest {
  format: typeof GRAPH_MANIFEST_FORMAT
  converter: { name: string; version: string; weightLayout: number }
  /** The checkpoint that the graphs were made from. */
  source: FileRecord
  graphs: GraphRecord[]
}

const SHA_256 = /^[0-9a-f]{64}$/

/**
 * Reads a `{ file, bytes, sha256 }` entry. File names stay inside the manifest's folder.
 *
 * @throws GabionError `MODEL_INVALID`
 */
export function readFileRecord(entry: JsonObject): FileRecord {
  const file = entry.string('file')
  if (file === '' || file.startsWith('/') || file.split(/[\\/]/).includes('..')) throw entry.wrong('file', 'a path inside the folder')
  const sha256 = entry.string('sha256')
  if (!SHA_256.test(sha256)) throw entry.wrong('sha256', '64 hexadecimal digits')
  return { file, bytes: entry.integer('bytes', 0), sha256 }
}

function readParity(entry: JsonObject): Parity {
  return {
    reference: entry.string('reference'),
    texts: entry.integer('texts', 1),
    worstCosine: entry.number('worstCosine'),
    meanCosine: entry.number('meanCosine'),
    worstElement: entry.number('worstElement'),
  }
}

function readGraph(entry: JsonObject): GraphRecord {
  return {
    precision: entry.oneOf('precision', GRAPH_PRECISIONS),
    target: entry.oneOf('target', GRAPH_TARGETS),
    ...readFileRecord(entry),
    weights: readFileRecord(entry.object('weights')),
    fused: entry.has('fused') ? readFileRecord(entry.object('fused')) : null,
    parity: entry.has('parity') ? readParity(entry.object('parity')) : null,
  }
}

/**
 * Reads the manifest of a model folder's graphs.
 *
 * @returns null if the folder has none
 * @throws GabionError `MODEL_INVALID` if it is no {@link GraphManifest}
 */
export async function readGraphManifest(folder: string): Promise<GraphManifest | null> {
  const manifest = await readConfigIfPresent(folder, join(GRAPH_FOLDER, GRAPH_MANIFEST))
  if (manifest === null) return null
  if (manifest.fields.format !== GRAPH_MANIFEST_FORMAT) throw manifest.wrong('format', `'${GRAPH_MANIFEST_FORMAT}'`)
  const converter = manifest.object('converter')
  const graphs = manifest.objects('graphs').map(readGraph)
  if (graphs.length === 0) throw new GabionError('MODEL_INVALID', `${manifest.source} lists no graphs`)
  return {
    format: GRAPH_MANIFEST_FORMAT,
    converter: { name: converter.string('name'), version: converter.string('version'), weightLayout: converter.integer('weightLayout', 1) },
    source: readFileRecord(manifest.object('source')),
    graphs,
  }
}
