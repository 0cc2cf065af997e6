// Models opened and disposed, or left to the garbage collector, over and over: memory stays bounded.
import { Embedder } from '../../../dist/index.js'
import { fail, pause } from './texts.mjs'

const rounds = 30
const open = async (round) => {
  const embedder = await Embedder.load({ threads: 1 })
  await embedder.embed(`round ${round}`)
  if (round % 2 === 0) embedder.dispose()
}
for (let round = 0; round < 6; round++) await open(round)
const collect = async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await pause(10)
  }
}
await collect()
const before = process.memoryUsage.rss()
for (let round = 0; round < rounds; round++) {
  await open(round)
  await collect()
}
const grown = (process.memoryUsage.rss() - before) / 1024 / 1024
// Thirty leaked models would be more than a gigabyte.
if (grown > 200) fail(`resident memory grew by ${grown.toFixed(0)} MiB over ${rounds} models`)
console.log('done')
