// A file system without room: converting a model into the cache there fails with a code and leaves nothing half-written, saved files likewise, and the
// process goes on. Afterwards there is room, and everything works.
//
// usage: full-disk.mjs FOLDER MODEL      FOLDER: a small file system, GABION_CACHE in it; MODEL: a checkpoint that needs converting

import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Embedder, Projection } from '../../../dist/index.js'
import { fail } from './texts.mjs'

const [folder, model] = process.argv.slice(2)
const filler = join(folder, 'filler')
const fill = () => {
  try {
    for (let size = 1 << 20; size >= 1; size = Math.floor(size / 2)) {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' })
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error
      }
    }
  } catch (error) {
    fail(error.stack)
  }
}
const codeOf = (promise) => promise.then(() => 'fulfilled', (error) => error.code) // prettier-ignore

const embedder = await Embedder.load()
const batch = await embedder.embedBatch(['one', 'two', 'three texts', 'four', 'five and more'])
const projection = Projection.fitPca(batch, { components: 2 })
await projection.save(join(folder, 'kept.json'))
fill()
const codes = {
  convert: await codeOf(Embedder.load({ model, precision: 'fp32' })),
  save: await codeOf(projection.save(join(folder, 'kept.json'))),
  another: await codeOf(projection.save(join(folder, 'other.json'))),
  embed: await codeOf(embedder.embed('goes on')),
}
rmSync(filler)
const left = readdirSync(folder, { recursive: true }).filter(
  (name) => !/^(kept\.json|cache)/.test(name) || /\.(lock|new|tmp|part)/.test(name),
)
console.error(JSON.stringify({ codes, left }))
if (codes.convert !== 'STORAGE_FAILED' || codes.embed !== 'fulfilled') fail('wrong codes')
if (codes.save !== 'STORAGE_FAILED' || codes.another !== 'STORAGE_FAILED') fail('wrong codes')
if (left.length > 0) fail('files were left half-written')
const kept = await Projection.load(join(folder, 'kept.json'))
if (kept.id !== projection.id) fail('the saved projection was spoilt')
if ((await codeOf(Embedder.load({ model, precision: 'fp32' }))) !== 'fulfilled') fail('with room again the model does not load')
console.log('done')
