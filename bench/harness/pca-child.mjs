// gabion's side of bench/pca.mjs, in its own process so that its memory can be measured. Reads commands as lines, writes answers as JSON.

import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { PcaAccumulator, Projection } from '../../dist/projection/index.js'

const STREAM_ROWS = 8192
const RANK = 48

/** Uniform numbers from −0.5 to 0.5 (xorshift): fast to make, the same on every run. */
function fill(data, dimensions, seed) {
  let state = seed | 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 4294967296
  }
  const strength = Float32Array.from({ length: dimensions }, (_, j) => (j < RANK ? 1 / (1 + 0.2 * j) : 0.15 - 0.0002 * j))
  for (let at = 0; at < data.length; at++) data[at] = next() * strength[at % dimensions] + 0.05
  return data
}

function peakBytes() {
  const kilobytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])
  return kilobytes * 1024
}

let vectors = null
let idleBytes = peakBytes()

const commands = {
  make(rows, dimensions) {
    idleBytes = process.memoryUsage().rss
    vectors = { rows, dimensions, data: fill(new Float32Array(rows * dimensions), dimensions, 1) }
    return {}
  },
  save(file) {
    writeFileSync(file, vectors.data)
    return {}
  },
  fit(components) {
    const before = process.cpuUsage()
    const started = performance.now()
    const pca = Projection.fitPca(vectors, { components })
    const seconds = (performance.now() - started) / 1000
    const { user, system } = process.cpuUsage(before)
    return { seconds, processorSeconds: (user + system) / 1e6, variances: Array.from(pca.explainedVariance) }
  },
  /** Peak memory beyond an idle process, as a multiple of the matrix. */
  memory: () => ({ timesMatrix: (peakBytes() - idleBytes) / vectors.data.byteLength }),
  stream(rows, dimensions, components) {
    const started = performance.now()
    const sums = new PcaAccumulator()
    const part = new Float32Array(STREAM_ROWS * dimensions)
    for (let first = 0; first < rows; first += STREAM_ROWS) {
      const count = Math.min(STREAM_ROWS, rows - first)
      const data = fill(part.subarray(0, count * dimensions), dimensions, first + 1)
      sums.add({ rows: count, dimensions, data })
    }
    sums.fit({ components })
    return { rows: sums.rows, seconds: (performance.now() - started) / 1000, peakBytes: peakBytes() }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = line.split(' ')
  process.stdout.write(`${JSON.stringify(commands[name](...args.map((arg) => (/^\d+$/.test(arg) ? Number(arg) : arg))))}\n`)
}
