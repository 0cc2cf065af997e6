// gabion as users get it (the compiled package), and the native times of single calls.

import { Embedder } from '../../dist/index.js'
import { nativeAddon } from '../../dist/internals.js'

/**
 * @param {{ threads: number, model?: string, precision?: 'auto' | 'fp32' | 'bf16' | 'int8' }} options
 * @returns {Promise<Embedder>} without a cache: every call runs the model
 */
export function loadGabion({ threads, model, precision = 'auto' }) {
  return Embedder.load({ threads, cache: false, precision, ...(model === undefined ? {} : { model }) })
}

/** @typedef {{ tokenizeUs: number, queueUs: number, encodeUs: number, projectUs: number }} NativeTimes */

/**
 * From now on records the times that native code reports with each result, for synchronous and asynchronous calls. The
 * public API returns a bare vector, so the addon's two functions are wrapped; a wrapper costs far less than a microsecond.
 *
 * @returns {() => NativeTimes} the times of the last call that has ended
 */
export function watchNativeTimes() {
  const addon = nativeAddon()
  const { embed, embedSync } = addon
  let last = null
  addon.embedSync = (...args) => {
    embedSync(...args)
    const stats = args[5]
    last = [stats[0], 0, stats[1], stats[2]]
  }
  addon.embed = (model, texts, projection, rule, done) =>
    embed(model, texts, projection, rule, (code, message, result) => {
      last = result?.times ?? null
      done(code, message, result)
    })
  return () => ({ tokenizeUs: last[0] * 1000, queueUs: last[1] * 1000, encodeUs: last[2] * 1000, projectUs: last[3] * 1000 })
}
