// The implementations in Node, as a child process. Protocol: child.mjs.
//
// usage: node-child.mjs ENGINE FOLDER FILE-OR-PRECISION THREADS

import { readFileSync, writeFileSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const [engine, folder, choice, threadsText] = process.argv.slice(2)
const threads = Number(threadsText)
const MAX_TOKENS = 256

/** Each gives `embed`, one text at a time, and `embedBatch`. */
const engines = {
  async gabion() {
    const { loadGabion } = await import('../gabion.mjs')
    const embedder = await loadGabion({ threads, precision: choice, ...(folder === '-' ? {} : { model: folder }) })
    return { embed: (text) => embedder.embedSync(text), embedBatch: (texts) => embedder.embedBatch(texts) }
  },
  async 'onnxruntime-node'() {
    const { loadTokenizer, openSession, textEncoder } = await import('../onnxruntime.mjs')
    const tokenize = loadTokenizer(folder)
    const session = await openSession(join(folder, 'onnx', choice), threads)
    const cut = (text) => {
      const ids = tokenize(text)
      return ids.length <= MAX_TOKENS ? ids : [...ids.slice(0, MAX_TOKENS - 1), ids.at(-1)]
    }
    const embed = textEncoder(session, cut, 384)
    return { embed, embedBatch: async (texts) => oneByOne(embed, texts) }
  },
  async 'transformers.js'() {
    const { env, pipeline } = await import('@huggingface/transformers')
    env.allowRemoteModels = false
    env.localModelPath = dirname(folder)
    const run = await pipeline('feature-extraction', basename(folder), {
      dtype: choice,
      device: 'cpu',
      session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
    })
    const options = { pooling: 'mean', normalize: true }
    return {
      embed: async (text) => (await run(text, options)).data,
      embedBatch: async (texts) => {
        const { data, dims } = await run(texts, options)
        return texts.map((_, row) => data.subarray(row * dims[1], (row + 1) * dims[1]))
      },
    }
  },
}

async function oneByOne(embed, texts) {
  const rows = []
  for (const text of texts) rows.push(await embed(text))
  return rows
}

/** Writes to the pipe itself: some libraries print to standard output. */
const answer = (value) => writeSync(1, `${JSON.stringify(value)}\n`)

async function timeCalls({ embed }, texts, calls) {
  const microseconds = []
  for (let at = 0; at < calls + 3; at++) {
    const text = texts[at % texts.length]
    const start = performance.now()
    const result = embed(text)
    if (result instanceof Promise) await result
    if (at >= 3) microseconds.push((performance.now() - start) * 1000)
  }
  return microseconds
}

async function embedAll({ embed, embedBatch }, texts, size) {
  if (size === 1) return oneByOne(embed, texts)
  if (engine === 'gabion') return embedBatch(texts)
  const rows = []
  for (let at = 0; at < texts.length; at += size) rows.push(...(await embedBatch(texts.slice(at, at + size))))
  return rows
}

const implementation = await engines[engine]()
await implementation.embed('The first text.')
answer({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  const { what, texts: file, calls, batch, out } = JSON.parse(line)
  const texts = JSON.parse(readFileSync(file, 'utf8'))
  if (what === 'calls') {
    answer({ microseconds: await timeCalls(implementation, texts, calls) })
    continue
  }
  const start = performance.now()
  const rows = await embedAll(implementation, texts, batch)
  const seconds = (performance.now() - start) / 1000
  if (out !== undefined) writeFileSync(out, Buffer.concat(rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength))))
  answer({ seconds })
}
process.exit(0)
