// Many models of one folder opened and disposed, several at a time, some with texts in flight: memory, threads and open files stay bounded.
//
// usage: models-in-turn.mjs COUNT FOLDER

import { readFileSync, readdirSync } from 'node:fs'
import { Embedder } from '../../../dist/index.js'
import { fail, pause } from './texts.mjs'

const [count, model] = [Number(process.argv[2]), process.argv[3]]
const AT_ONCE = 8
const files = () => readdirSync('/proc/self/fd').length
const threads = () => Number(/^Threads:\s*(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])

let first
const one = async (number) => {
  const embedder = await Embedder.load({ model, precision: 'fp32', threads: 1 + (number % 3), ...(number % 2 === 0 && { cache: false }) })
  const vector = embedder.embed('the same text for all')
  if (number % 3 === 0) embedder.dispose()
  const got = Buffer.from((await vector).buffer.slice(0))
  first ??= got
  if (Buffer.compare(first, got) !== 0) fail(`model ${number} gave another vector`)
  embedder.dispose()
}
const round = (from) => Promise.all(Array.from({ length: AT_ONCE }, (_, i) => one(from + i)))

for (let number = 0; number < 5 * AT_ONCE; number += AT_ONCE) await round(number)
globalThis.gc()
const before = { files: files(), threads: threads(), rss: process.memoryUsage.rss() }
for (let number = 0; number < count; number += AT_ONCE) await round(number)
globalThis.gc()
await pause(200)
const after = { files: files(), threads: threads(), rss: process.memoryUsage.rss() }
const grown = (after.rss - before.rss) / 2 ** 20
if (after.files > before.files + 2) fail(`${before.files} open files became ${after.files}`)
if (after.threads > before.threads + 3) fail(`${before.threads} threads became ${after.threads}`)
// A model that stays takes megabytes: a leak of one in ten would be seen.
if (grown > 60 + count / 20) fail(`resident memory grew by ${grown.toFixed(0)} MiB over ${count} models`)
console.error(
  `${count} models: ${grown.toFixed(1)} MiB, ${after.files - before.files} files, ${after.threads - before.threads} threads more`,
)
console.log('done')
