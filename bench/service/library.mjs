// The library alone: as many embed() calls in flight as the service gets requests. Prints texts per second.
//
// usage: library.mjs THREADS SECONDS CALLS-AT-ONCE

import { Embedder } from '../../dist/index.js'
import { freshText } from './texts.mjs'

const [threads, seconds, atOnce] = process.argv.slice(2).map(Number)
const embedder = await Embedder.load({ threads, cache: false, onTruncated: () => undefined })
let count = 0
const run = async (length) => {
  const end = performance.now() + length * 1000
  count = 0
  const worker = async () => {
    while (performance.now() < end) {
      await embedder.embed(freshText())
      count++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
await run(1)
const begin = performance.now()
await run(seconds)
console.log(JSON.stringify({ perSecond: count / ((performance.now() - begin) / 1000) }))
process.exit(0)
