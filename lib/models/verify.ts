// Owns the verification of a model folder's files against its manifests. Reads every byte, so loads do not run it.

import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { GRAPH_FOLDER, readGraphManifest, type FileRecord } from './graph-manifest.js'
import { readModelManifest } from './model-manifest.js'

/** The verification of one file. */
export interface VerifiedFile {
  /** Relative to the model folder. */
  file: string
  state: 'ok' | 'missing' | 'differs'
  /** Hex SHA-256 by the manifest. */
  expected: string
  /** Hex SHA-256 of the file; null if it is missing, or its size alone shows that it differs. */
  actual: string | null
}

/** The outcome of {@link verifyModel}. */
export interface ModelVerification {
  /** Absolute path. */
  folder: string
  /** True if every file matches its manifest. */
  ok: boolean
  files: VerifiedFile[]
}

async function verifyFile(folder: string, record: FileRecord, signal: AbortSignal | undefined): Promise<VerifiedFile> {
  const path = join(folder, record.file)
  const found = await stat(path).catch(() => null)
  const result = { file: record.file, expected: record.sha256 }
  if (found?.isFile() !== true) return { ...result, state: 'missing', actual: null }
  if (found.size !== record.bytes) return { ...result, state: 'differs', actual: null }
  const actual = await sha256OfFiles([path], signal)
  return { ...result, state: actual === record.sha256 ? 'ok' : 'differs', actual }
}

/**
 * Compares every file that the manifests of a model folder list with its size and SHA-256.
 *
 * @param options.onFile called after each file
 * @throws GabionError `MODEL_NOT_FOUND` if the folder has no manifest to compare with, `MODEL_INVALID` if a manifest cannot
 * be read, `ABORTED` if the signal fires. Files that differ are no error here: see {@link requireVerified}
 */
export async function verifyModel(
  folder: string,
  options: { signal?: AbortSignal; onFile?: (file: VerifiedFile) => void } = {},
): Promise<ModelVerification> {
  const path = resolve(folder)
  const [model, graphs] = [await readModelManifest(path), await readGraphManifest(path)]
  if (model === null && graphs === null) {
    throw new GabionError(
      'MODEL_NOT_FOUND',
      `the model folder ${path} has no manifest.json and no ${GRAPH_FOLDER}/manifest.json to check it by`,
    )
  }
  const records = new Map<string, FileRecord>()
  for (const record of graphs?.graphs.flatMap((graph) => [graph, graph.weights, ...(graph.fused === null ? [] : [graph.fused])]) ?? []) {
    const file = join(GRAPH_FOLDER, record.file)
    records.set(file, { ...record, file })
  }
  const files: VerifiedFile[] = []
  const verify = async (record: FileRecord): Promise<void> => {
    if (options.signal?.aborted === true)
      throw new GabionError('ABORTED', `the check of ${path} was aborted`, { cause: options.signal.reason })
    const file = await verifyFile(path, record, options.signal).catch((cause: unknown) => {
      if (options.signal?.aborted === true) throw new GabionError('ABORTED', `the check of ${path} was aborted`, { cause })
      throw new GabionError('MODEL_INVALID', `cannot read ${join(path, record.file)}: ${(cause as Error).message}`, { cause })
    })
    files.push(file)
    options.onFile?.(file)
  }
  for (const record of model?.files ?? []) {
    await verify(record)
    // Both manifests list the graphs; where they agree, a file is read once.
    if (records.get(record.file)?.sha256 === record.sha256) records.delete(record.file)
  }
  for (const record of records.values()) await verify(record)
  return { folder: path, ok: files.every((file) => file.state === 'ok'), files }
}

/** Throws GabionError `CHECKSUM_MISMATCH`, naming the files, if a file does not match. */
export function requireVerified(verification: ModelVerification): void {
  const wrong = verification.files.filter((file) => file.state !== 'ok')
  if (wrong.length === 0) return
  const list = wrong.map((file) =>
    file.state === 'missing' ? `${file.file} is missing` : `${file.file} differs from SHA-256 ${file.expected}`,
  )
  throw new GabionError('CHECKSUM_MISMATCH', `the model folder ${verification.folder} is not as its manifest says: ${list.join('; ')}`)
}
