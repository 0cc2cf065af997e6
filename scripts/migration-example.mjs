#!/usr/bin/env node
// Makes a folder for trying a migration without a cloud: texts of the repository, vectors that stand in for a cloud's (a random linear
// map of this package's own vectors to 1,536 dimensions, with noise), a projection fitted on these by scikit-learn's conventions,
// and conversations. Used by docs/migrate.md and its test.
//
// usage: node scripts/migration-example.mjs FOLDER [--texts N] [--noise SHARE]

import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parse } from 'csv-parse/sync'
import { Embedder, Projection } from '../dist/index.js'
import { npyHeader } from '../dist/internals.js'

const WIDTH = 1536
const root = fileURLToPath(new URL('..', import.meta.url))

/** Normally distributed numbers that are the same on every run. */
function normalNumbers(seed) {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 4294967296
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

function sentences(count) {
  const rows = parse(readFileSync(join(root, 'data', 'stsb-en-dev.csv')), { relax_column_count: true })
  const texts = [...new Set(rows.flatMap(([a, b]) => [a, b]).map((text) => text.replaceAll(/\s+/g, ' ').trim()))]
  return texts.filter((text) => text !== '').slice(0, count)
}

function npy(rows, columns, data) {
  return Buffer.concat([npyHeader('<f4', [rows, columns]), Buffer.from(data.buffer, data.byteOffset, data.byteLength)])
}

/** The stand-in for a cloud's model: unit vectors of another width with the same information, up to noise. */
function cloudVectors({ rows, dimensions, data }, noise) {
  const next = normalNumbers(1)
  const teacher = Float32Array.from({ length: WIDTH * dimensions }, next)
  const vectors = new Float32Array(rows * WIDTH)
  for (let row = 0; row < rows; row++) {
    let square = 0
    for (let i = 0; i < WIDTH; i++) {
      let sum = 0
      for (let j = 0; j < dimensions; j++) sum += teacher[i * dimensions + j] * data[row * dimensions + j]
      const value = sum + noise * next()
      vectors[row * WIDTH + i] = value
      square += value * value
    }
    for (let i = 0; i < WIDTH; i++) vectors[row * WIDTH + i] /= Math.sqrt(square)
  }
  return vectors
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { texts: { type: 'string', default: '1200' }, noise: { type: 'string', default: '0.2' } },
})
const [folder] = positionals
if (folder === undefined) {
  console.error('usage: node scripts/migration-example.mjs FOLDER [--texts N] [--noise SHARE]')
  process.exit(2)
}
mkdirSync(folder, { recursive: true })
const texts = sentences(Number(values.texts))
const embedder = await Embedder.load()
const batch = await embedder.embedBatch(texts)
embedder.dispose()
const vectors = cloudVectors(batch, Number(values.noise))
const model = { name: 'example-cloud', hash: createHash('sha256').update('example-cloud').digest('hex'), precision: 'fp32' }
const projection = Projection.fitPca({ rows: texts.length, dimensions: WIDTH, data: vectors }, { components: 2, model })
// Five texts in six are for fitting, the others for comparing.
const parts = { fit: (row) => row % 6 !== 5, compare: (row) => row % 6 === 5 }
for (const [name, isIn] of Object.entries(parts)) {
  const rows = texts.map((_, row) => row).filter(isIn)
  const own = new Float32Array(rows.length * WIDTH)
  rows.forEach((row, at) => own.set(vectors.subarray(row * WIDTH, (row + 1) * WIDTH), at * WIDTH))
  writeFileSync(join(folder, `${name}.txt`), `${rows.map((row) => texts[row]).join('\n')}\n`)
  writeFileSync(join(folder, `${name}.cloud.npy`), npy(rows.length, WIDTH, own))
}
await projection.save(join(folder, 'cloud.pca.json'))
for (const name of ['shop-refund-eroding.json', 'bank-card-benign.json']) copyFileSync(join(root, 'examples', name), join(folder, name))
console.log(`${folder}: ${texts.length} texts, vectors of ${WIDTH} dimensions that stand in for a cloud's, and their projection`)
