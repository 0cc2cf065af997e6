// onnxruntime-node as a careful user calls it: one thread per session, the best settings for short texts, no copies that can be avoided.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import ort from 'onnxruntime-node'

/** The options of gabion's own sessions, as far as this binding supports them. */
export function sessionOptions(threads) {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableMemPattern: false,
    extra: { optimization: { disable_specified_optimizers: 'SkipLayerNormFusion;BiasSkipLayerNormFusion;EmbedLayerNormFusion' } },
  }
}

/** @param {readonly number[] | Int32Array} ids */
export function idsTensor(ids, rows = 1) {
  return new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [rows, ids.length / rows])
}

/** @returns {Promise<import('onnxruntime-node').InferenceSession>} */
export function openSession(graphFile, threads) {
  return ort.InferenceSession.create(graphFile, sessionOptions(threads))
}

/**
 * The binding beneath the package's promises, called on this thread: the minimum cost of a run from JavaScript.
 *
 * @returns {(feeds: Record<string, import('onnxruntime-node').Tensor>) => Record<string, import('onnxruntime-node').Tensor>}
 */
export function openBinding(graphFile, threads) {
  const { binding, initOrt } = createRequire(import.meta.url)('onnxruntime-node/dist/binding.js')
  initOrt()
  const session = new binding.InferenceSession()
  session.loadModel(graphFile, sessionOptions(threads))
  const fetches = Object.fromEntries(session.outputMetadata.map(({ name }) => [name, null]))
  return (feeds) => session.run(feeds, fetches, {})
}

/** Hugging Face's tokenizer in JavaScript; returns ids with special tokens. */
export function loadTokenizer(modelFolder) {
  const read = (name) => JSON.parse(readFileSync(join(modelFolder, name), 'utf8'))
  // No padding or truncation: lengths differ and none exceeds the model's.
  const tokenizer = new Tokenizer({ ...read('tokenizer.json'), padding: null, truncation: null }, read('tokenizer_config.json'))
  return (text) => tokenizer.encode(text).ids
}

/**
 * Mean over the first `tokens` rows, scaled to unit length.
 *
 * @param {Float32Array} hidden rows of `width` values
 * @returns {Float32Array}
 */
export function meanPooled(hidden, tokens, width, offset = 0) {
  const vector = new Float32Array(width)
  for (let token = 0; token < tokens; token++) {
    const row = offset + token * width
    for (let column = 0; column < width; column++) vector[column] += hidden[row + column]
  }
  let sum = 0
  for (const value of vector) sum += value * value
  const scale = 1 / Math.sqrt(sum)
  for (let column = 0; column < width; column++) vector[column] *= scale
  return vector
}

/**
 * Text to vector, one text at a time.
 *
 * @returns {(text: string) => Promise<Float32Array>}
 */
export function textEncoder(session, tokenize, width) {
  return async (text) => {
    const ids = tokenize(text)
    const { last_hidden_state: hidden } = await session.run({ input_ids: idsTensor(ids) })
    return meanPooled(hidden.data, ids.length, width)
  }
}

/**
 * Texts to vectors in one padded batch, on a graph that takes an attention mask.
 *
 * @returns {(texts: readonly string[]) => Promise<Float32Array[]>}
 */
export function batchEncoder(session, tokenize, width) {
  return async (texts) => {
    const rows = texts.map(tokenize)
    const longest = Math.max(...rows.map((ids) => ids.length))
    const padded = (valueOf) => rows.flatMap((ids) => Array.from({ length: longest }, (_, at) => (at < ids.length ? valueOf(ids[at]) : 0)))
    const { last_hidden_state: hidden } = await session.run({
      input_ids: idsTensor(
        padded((id) => id),
        rows.length,
      ),
      attention_mask: idsTensor(
        padded(() => 1),
        rows.length,
      ),
    })
    return rows.map((ids, row) => meanPooled(hidden.data, ids.length, width, row * longest * width))
  }
}

/** @throws Error when two vectors differ by more than rounding: the comparison would be meaningless. */
export function assertSameVector(what, a, b) {
  let dot = 0
  for (let index = 0; index < a.length; index++) dot += a[index] * b[index]
  if (!(a.length === b.length && dot > 0.9999)) throw new Error(`${what} gives another vector than gabion (cosine ${dot})`)
}
