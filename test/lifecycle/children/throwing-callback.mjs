// A callback that throws, called from native code: an uncaught exception like any other, and the addon goes on.
import { setTimeout } from 'node:timers/promises'
import { Embedder } from '../../../dist/index.js'
import { nativeAddon, resolveModel } from '../../../dist/internals.js'
import { fail } from './texts.mjs'

let caught = 0
process.on('uncaughtException', (error) => {
  if (error.message !== 'from the callback') fail(error.stack)
  caught++
})
const description = await resolveModel()
const { pooling, tokenizerFile, vocabularySize, dimensions, maxSequenceLength } = description
const shared = { pooling, tokenizerFile, vocabularySize, dimensions, normalize: true, maxTokens: maxSequenceLength }
const options = { ...shared, graphFile: description.graphs[0].file, providers: ['cpu'], encoderPrecision: 'bf16' }
const thrower = () => {
  throw new Error('from the callback')
}
const addon = nativeAddon()
addon.openModel(options, thrower)
const model = await new Promise((resolve) => addon.openModel(options, (code, message, opened) => resolve(opened)))
for (let i = 0; i < 10; i++) addon.embed(model, ['one', 'two'], null, null, i % 2 === 0 ? thrower : () => undefined)
await new Promise((resolve) => addon.embed(model, ['the last'], null, null, resolve))
const embedder = await Embedder.load()
if ((await embedder.embed('still alive')).length !== 384) fail('no vector')
// Two models that open at once may end in either order.
for (let waited = 0; caught < 6 && waited < 500; waited++) await setTimeout(20)
if (caught !== 6) fail(`${caught} exceptions arrived`)
console.log('done')
