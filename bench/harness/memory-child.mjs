// Child process with one implementation of the memory bench: embeds texts one at a time and writes a line of JSON after each part, the
// resident memory without what a garbage collection would free. usage: NAME PARTS TEXTS_FILE MODEL_FOLDER PARENT FOLDER_NAME GRAPH

import { readFileSync } from 'node:fs'

const [name, parts, textsFile, modelFolder, parent, folderName, graphFile] = process.argv.slice(2)
const DIMENSIONS = 384

/** Each gives a function from a text to its vector. */
const implementations = {
  /** The common base: Node and the texts. */
  async node() {
    return async () => null
  },
  async gabion() {
    const { loadGabion } = await import('./gabion.mjs')
    const embedder = await loadGabion({ threads: 1 })
    return (text) => embedder.embed(text)
  },
  async 'gabion with its cache'() {
    const { Embedder } = await import('../../dist/index.js')
    const embedder = await Embedder.load({ threads: 1 })
    return (text) => embedder.embed(text)
  },
  async 'onnxruntime-node'() {
    const { batchEncoder, loadTokenizer, openSession } = await import('./onnxruntime.mjs')
    const embed = batchEncoder(await openSession(graphFile, 1), loadTokenizer(modelFolder), DIMENSIONS)
    return async (text) => (await embed([text]))[0]
  },
  async 'transformers.js'() {
    const { env, pipeline } = await import('@huggingface/transformers')
    env.allowRemoteModels = false
    env.localModelPath = parent
    const { sessionOptions } = await import('./onnxruntime.mjs')
    const extract = await pipeline('feature-extraction', folderName, { dtype: 'fp32', device: 'cpu', session_options: sessionOptions(1) })
    return async (text) => {
      const output = await extract(text, { pooling: 'mean', normalize: true })
      const vector = Float32Array.from(output.data)
      output.dispose()
      return vector
    }
  },
}

const texts = JSON.parse(readFileSync(textsFile, 'utf8'))
const embed = await implementations[name]()
const first = await embed(texts[0])
const size = texts.length / Number(parts)
for (let part = 0; part < Number(parts); part++) {
  for (const text of texts.slice(part * size, (part + 1) * size)) await embed(text)
  globalThis.gc()
  const { rss } = process.memoryUsage()
  console.log(JSON.stringify({ rss, vector: first === null ? null : [...first] }))
}
process.exit(0)
