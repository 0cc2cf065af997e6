// The workload of a soak: texts of mixed length through several models, with aborts, models that are loaded and disposed, caches that are too
// small, and conversations. Every step returns the number of embedded texts.

import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Embedder, Monitor } from '../../dist/index.js'

const WORDS =
  'report order window garden answer river question paper ticket number evening letter market station color 中文 текст ñandú 👩‍👧 e\u0301'.split(
    ' ',
  )

/** Longer than the allocator takes to return a model's memory to the system. */
const SETTLE_MS = 200

/** A random number generator below a bound; the same seed gives the same numbers (xorshift). */
export function randomNumbers(seed) {
  let state = seed >>> 0 || 1
  return (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
}

/** A text of 0 to some 700 tokens: mostly short, some beyond what the model reads, some with lone surrogates. */
export function randomText(below) {
  const words = below(12) === 0 ? below(500) : below(30)
  const text = Array.from({ length: words }, () => WORDS[below(WORDS.length)]).join(' ')
  return below(20) === 0 ? `${text}\ud800` : text
}

/** Texts whose vectors are compared throughout the run. */
const REFERENCE = Array.from({ length: 24 }, (_, at) => randomText(randomNumbers(at + 1)))

export class SoakLoad {
  texts = 0
  aborted = 0
  opened = 0
  #below
  #models
  #standing
  #small
  #expected = new Map()
  #last = Promise.resolve()

  /** `models`: options of Embedder.load; the first two stay loaded all the time; the second is a small one that embeds many texts. */
  constructor(models, seed) {
    this.#models = models
    this.#below = randomNumbers(seed)
  }

  async open() {
    const options = { cache: { maxBytes: 1 << 20 }, onTruncated: () => undefined }
    this.#standing = await Embedder.load({ ...this.#models[0], ...options })
    this.#small = await Embedder.load({ ...this.#models[1], ...options })
  }

  close() {
    this.#standing.dispose()
    this.#small.dispose()
  }

  /** One round of `batches` · 400 texts and more; throws where a vector's bits are not those of the first time. */
  async round(batches) {
    const below = this.#below
    await this.#mixed(this.#standing, 150)
    for (let batch = 0; batch < batches; batch++) await this.#mixed(this.#small, 400)
    if (below(4) === 0) await this.#storm(this.#standing)
    const options = this.#models[below(this.#models.length)]
    const embedder = await Embedder.load({ ...options, threads: 1 + below(2), cache: false, onTruncated: () => undefined })
    this.opened++
    await this.#mixed(embedder, 60)
    await this.#compare(JSON.stringify(options), embedder)
    if (below(3) === 0) this.#last = this.#mixed(embedder, 10).catch(() => undefined)
    embedder.dispose()
    if (below(6) === 0) await this.#conversation()
  }

  /** Ends when nothing is in flight and freed memory has been returned. */
  async settle() {
    await this.#last
    await pause(SETTLE_MS)
  }

  async #mixed(embedder, count) {
    const texts = Array.from({ length: count }, () => randomText(this.#below))
    const singles = texts.slice(0, 8).map((text) => embedder.embed(text))
    const batch = await embedder.embedBatch(texts)
    await Promise.all(singles)
    embedder.embedSync(texts[0])
    this.texts += count + 9
    if (batch.rows !== count) throw new Error(`a batch of ${count} has ${batch.rows} rows`)
  }

  async #storm(embedder) {
    for (let round = 0; round < 4; round++) {
      const controller = new AbortController()
      const calls = Array.from({ length: 8 }, () => embedder.embedBatch([randomText(this.#below)], { signal: controller.signal }))
      await pause(this.#below(4))
      controller.abort()
      for (const { status, reason } of await Promise.allSettled(calls)) {
        if (status === 'rejected' && reason.code !== 'ABORTED') throw reason
        if (status === 'rejected') this.aborted++
        else this.texts++
      }
    }
  }

  async #conversation() {
    const monitor = await Monitor.load({ embedder: this.#standing })
    const conversation = monitor.conversation(`soak ${this.texts}`)
    for (let exchange = 0; exchange < 4; exchange++) {
      await conversation.addExchange({ user: randomText(this.#below), assistant: randomText(this.#below) })
      this.texts += 2
    }
  }

  async #compare(model, embedder) {
    const batch = await embedder.embedBatch(REFERENCE)
    this.texts += REFERENCE.length
    const bits = createHash('sha256')
      .update(new Uint8Array(batch.data.buffer, batch.data.byteOffset, batch.data.byteLength))
      .digest('hex')
    const expected = this.#expected.get(model) ?? bits
    this.#expected.set(model, expected)
    if (bits !== expected) throw new Error(`vectors of ${model} are not those of the first time, after ${this.texts} texts`)
  }
}
