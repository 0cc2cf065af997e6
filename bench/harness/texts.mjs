// The measured texts: messages of real conversations, and excerpts of them with an exact token count. The same on every run.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

const SOURCE = new URL('../../data/mt-bench-101.jsonl.gz', import.meta.url)

/** A small generator (mulberry32) of numbers in 0…1. */
function generator(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

function shuffle(values, random) {
  for (let index = values.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1))
    ;[values[index], values[other]] = [values[other], values[index]]
  }
  return values
}

function messages() {
  const lines = gunzipSync(readFileSync(SOURCE)).toString('utf8').trim().split('\n')
  const texts = lines.flatMap((line) => JSON.parse(line).turns.flatMap(({ user, model }) => [user, model]))
  return [...new Set(texts.filter((text) => typeof text === 'string').map((text) => text.trim()))].filter((text) => text !== '').sort()
}

/**
 * Different texts of mixed length, without those that the model would truncate: the measured work is
 * the same for all implementations.
 *
 * @param {import('../../dist/index.js').Embedder} embedder
 * @param {number} count
 * @param {number} [seed] another seed gives another sample
 * @returns {{ texts: string[], tokens: number }}
 */
export function mixedTexts(embedder, count, seed = 1) {
  const texts = []
  let sum = 0
  for (const text of shuffle(messages(), generator(seed))) {
    if (texts.length === count) break
    const { totalTokenCount: tokens, truncated } = embedder.tokenize(text)
    if (truncated) continue
    texts.push(text)
    sum += tokens
  }
  return { texts, tokens: sum }
}

/**
 * Different excerpts of real text with exactly `tokens` tokens, special tokens included.
 *
 * @param {import('../../dist/index.js').Embedder} embedder
 * @param {number} tokens
 * @param {number} count
 * @returns {string[]}
 */
export function textsOfLength(embedder, tokens, count) {
  const random = generator(tokens)
  const words = shuffle(messages(), random).join(' ').split(/\s+/)
  const found = new Set()
  for (let attempt = 0; found.size < count; attempt++) {
    if (attempt > 1000 * count) throw new Error(`only ${found.size} of ${count} texts of ${tokens} tokens could be made`)
    const first = Math.floor(random() * (words.length - tokens))
    // Real words have one token or more: start short and add words until the count is met or passed.
    for (let length = Math.max(1, Math.floor(tokens / 3)); length < tokens; length++) {
      const text = words.slice(first, first + length).join(' ')
      const { totalTokenCount: reached } = embedder.tokenize(text)
      if (reached === tokens) found.add(text)
      if (reached >= tokens) break
    }
  }
  return [...found]
}
