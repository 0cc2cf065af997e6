// Copies of a model folder in a temporary folder, for measuring one graph of it. The weights are hard-linked
// where possible.

import { copyFile, link, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** @returns {Promise<string>} a new folder */
export function temporaryFolder() {
  return mkdtemp(join(tmpdir(), 'gabion-bench-'))
}

/** Hard-links a file, or copies it where that is impossible. */
export async function linkOrCopy(from, to) {
  await mkdir(dirname(to), { recursive: true })
  await link(from, to).catch(() => copyFile(from, to))
}

/** The graph of standard operators in gabion's folder: the one that other runtimes can open too. */
export function standardGraph(folder) {
  return join(folder, 'onnx', 'model_bf16.onnx')
}

/**
 * The bundled model without the graphs of gabion's own operator, so that gabion runs the graph of standard operators.
 *
 * @param {string} folder the model's
 * @returns {Promise<{ folder: string, remove: () => Promise<void> } | null>} null if the model has no such graph anyway
 */
export async function withoutFusedGraphs(folder) {
  const graphList = join('onnx', 'manifest.json')
  const manifest = JSON.parse(await readFile(join(folder, graphList), 'utf8'))
  if (manifest.graphs.every(({ fused }) => fused === undefined || fused === null)) return null
  const place = await temporaryFolder()
  const copy = join(place, 'standard')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries.filter((each) => each.isFile())) {
    const file = join(entry.parentPath, entry.name).slice(folder.length + 1)
    // Lists what the copy lacks.
    if (file !== graphList && file !== 'manifest.json') await linkOrCopy(join(folder, file), join(copy, file))
  }
  const graphs = manifest.graphs.map((graph) => ({ ...graph, fused: null }))
  await writeFile(join(copy, graphList), JSON.stringify({ ...manifest, graphs }))
  return { folder: copy, remove: () => rm(place, { recursive: true }) }
}
