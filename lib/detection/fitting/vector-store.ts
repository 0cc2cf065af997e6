// Owns a disk cache of vectors, so that a second training embeds nothing. Append-only: an interrupted run keeps its finished
// part. Knows texts and windows, no labels.

import { open, mkdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeCrypto } from '../../lazy.js'
import type { Embedder } from '../../embedding/embedder.js'
import type { WindowRule } from '../../embedding/window-batch.js'
import { GabionError } from '../../errors.js'
import { textVector } from '../erosion/head.js'
import { numericsFingerprint } from './numerics.js'

/** Windows of the model's 256 tokens less its two special ones, overlapping by 54. */
export const WINDOWS: WindowRule = { size: 254, stride: 200 }

/** Texts embedded per write. */
const CHUNK = 512

interface StoreFiles {
  keys: string
  vectors: string
}

/** Vectors of texts, window by window. */
export class VectorStore {
  readonly dimensions: number
  readonly #embedder: Pick<Embedder, 'embedWindows'>
  readonly #rule: WindowRule
  readonly #files: StoreFiles | null
  readonly #windows = new Map<string, Float32Array[]>()

  private constructor(embedder: Pick<Embedder, 'embedWindows' | 'dimensions'>, rule: WindowRule, files: StoreFiles | null) {
    this.#embedder = embedder
    this.dimensions = embedder.dimensions
    this.#rule = rule
    this.#files = files
  }

  /**
   * Opens the store of an embedder in a folder, which is created if missing; without a folder the store is in memory.
   *
   * @throws GabionError `INVALID_ARGUMENT` when the folder cannot be used
   */
  static async open(embedder: Embedder, rule: WindowRule, folder: string | null): Promise<VectorStore> {
    if (folder === null) return new VectorStore(embedder, rule, null)
    const { modelHash, precision, dimensions, modelDimensions } = embedder.info
    const numerics = await numericsFingerprint(embedder)
    const cut = dimensions === modelDimensions ? '' : `-${String(dimensions)}`
    const name = `${modelHash.slice(0, 16)}-${precision}-${numerics}-${String(rule.size)}-${String(rule.stride)}${cut}`
    const files = { keys: join(folder, `${name}.keys`), vectors: join(folder, `${name}.f32`) }
    const store = new VectorStore(embedder, rule, files)
    try {
      await mkdir(folder, { recursive: true })
      await store.#read()
    } catch (cause) {
      throw new GabionError('INVALID_ARGUMENT', `cannot use the vector cache ${folder}: ${(cause as Error).message}`, { cause })
    }
    return store
  }

  /** Embeds the texts that are not stored yet. */
  async add(
    texts: Iterable<string>,
    options: { signal?: AbortSignal; onProgress?: (progress: { done: number; total: number }) => void } = {},
  ): Promise<void> {
    const missing = new Map<string, string>()
    for (const text of texts) {
      const key = keyOf(text)
      if (!this.#windows.has(key)) missing.set(key, text)
    }
    const all = [...missing]
    const { signal, onProgress } = options
    for (let first = 0; first < all.length; first += CHUNK) {
      const part = all.slice(first, first + CHUNK)
      const batch = await this.#embedder.embedWindows(
        part.map(([, text]) => text),
        this.#rule,
        signal === undefined ? {} : { signal },
      )
      const rows = part.map(([key], index) => ({ key, windows: batch.windows(index).map(({ vector }) => vector) }))
      await this.#append(rows)
      for (const { key, windows } of rows) this.#windows.set(key, windows)
      onProgress?.({ done: Math.min(first + CHUNK, all.length), total: all.length })
    }
  }

  /**
   * The vectors of an added text's windows.
   *
   * @throws GabionError `INTERNAL` for a text that was not added
   */
  windows(text: string): readonly Float32Array[] {
    const windows = this.#windows.get(keyOf(text))
    if (windows === undefined) throw new GabionError('INTERNAL', 'a text was requested that was not embedded before')
    return windows
  }

  /** The unit vector of a text: the mean of its windows' vectors, normalized; zeros for a text without windows. */
  vector(text: string): ArrayLike<number> {
    return textVector(this.windows(text), this.dimensions)
  }

  async #read(): Promise<void> {
    const files = this.#files
    if (files === null) return
    const keys = await readIfPresent(files.keys)
    const bytes = await readIfPresent(files.vectors)
    const width = this.dimensions * 4
    const stored = Math.floor(bytes.length / width)
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + stored * width))
    let row = 0
    let read = 0
    // The usable part ends at the first truncated line or missing vector.
    for (const line of keys.toString('utf8').split('\n').slice(0, -1)) {
      const [key = '', count = ''] = line.split(' ')
      const windows = Number(count)
      if (!/^[0-9a-f]{64}$/.test(key) || !Number.isInteger(windows) || row + windows > stored) break
      const list = Array.from({ length: windows }, (_, i) => values.subarray((row + i) * this.dimensions, (row + i + 1) * this.dimensions))
      this.#windows.set(key, list)
      row += windows
      read += line.length + 1
    }
    if (read < keys.length) await truncate(files.keys, read)
    if (row * width < bytes.length) await truncate(files.vectors, row * width)
  }

  async #append(rows: readonly { key: string; windows: readonly Float32Array[] }[]): Promise<void> {
    const files = this.#files
    if (files === null) return
    const bytes = rows.flatMap(({ windows }) =>
      windows.map((vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)),
    )
    // Vectors first: an interrupted write must not leave keys without vectors.
    await append(files.vectors, Buffer.concat(bytes))
    await append(files.keys, Buffer.from(rows.map(({ key, windows }) => `${key} ${String(windows.length)}\n`).join('')))
  }
}

function keyOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}

async function readIfPresent(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

async function append(file: string, bytes: Uint8Array): Promise<void> {
  await using handle = await open(file, 'a')
  await handle.appendFile(bytes)
}
