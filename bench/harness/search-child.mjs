// Measures one search, one pass of memchr and one loop over the same rows, interleaved; prints their times in milliseconds as JSON.
//
// usage: node search-child.mjs ROWS DIMENSIONS ROUNDS

import { semanticSearch } from '../../dist/index.js'

const [rows, dimensions, rounds] = process.argv.slice(2).map(Number)
const ABSENT = 255

const data = new Float32Array(rows * dimensions)
let state = 1
for (let i = 0; i < data.length; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  data[i] = state / 2 ** 32 - 0.5
}
const bytes = Buffer.from(data.buffer)
for (let i = 0; i < bytes.length; i++) if (bytes[i] === ABSENT) bytes[i] = ABSENT - 1

const matrix = { rows, dimensions, data }
const query = data.slice(0, dimensions)

function bestByLoop() {
  let [best, index] = [-Infinity, -1]
  for (let row = 0, at = 0; row < rows; row++) {
    let sum = 0
    for (let i = 0; i < dimensions; i++, at++) sum += query[i] * data[at]
    if (sum > best) [best, index] = [sum, row]
  }
  return index
}

const tasks = {
  search: () => semanticSearch(query, matrix, { topK: 10 })[0].index === 0,
  pass: () => bytes.indexOf(ABSENT) === -1,
  loop: () => bestByLoop() >= 0,
}
const times = Object.fromEntries(Object.keys(tasks).map((name) => [name, []]))
for (let round = -2; round < rounds; round++) {
  for (const [name, task] of Object.entries(tasks)) {
    const start = performance.now()
    if (!task()) throw new Error(`${name} gave a wrong result`)
    if (round >= 0) times[name].push(performance.now() - start)
  }
}
process.stdout.write(JSON.stringify(times))
