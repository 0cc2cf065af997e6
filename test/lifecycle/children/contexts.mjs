// Values of other vm contexts, which are of no class of this one: they work or are refused with a code, and a context may go while its
// values are in use.

import vm from 'node:vm'
import { Embedder, GabionError, Projection, semanticSearch } from '../../../dist/index.js'
import { fail, pause } from './texts.mjs'

const embedder = await Embedder.load({ cache: false })
const expected = await embedder.embed('one text')
const foreign = (code) => vm.runInContext(code, vm.createContext({ embedder, AbortController }))
const settled = (promise) => Promise.resolve(promise).then((value) => ({ value }), (error) => ({ error })) // prettier-ignore

const batch = await embedder.embedBatch(foreign(`['one text', 'two']`))
if (Buffer.compare(Buffer.from(batch.row(0).slice().buffer), Buffer.from(expected.buffer)) !== 0) fail('another vector')
const inside = await foreign(`(async () => (await embedder.embed('one' + ' text'))[0])()`)
if (inside !== expected[0]) fail('another vector inside the context')

const odd = [
  `new String('one text')`,
  `['a', { toString() { throw 1 } }]`,
  `new Proxy(['a'], { get() { throw new Error('trap') } })`,
  `({ length: 2 })`,
]
for (const code of odd) {
  for (const call of [(value) => embedder.embed(value), (value) => embedder.embedBatch(value)]) {
    const { error } = await settled((async () => call(foreign(code)))())
    // A trap's own error passes as it is.
    if (!(error instanceof GabionError) && error?.message !== 'trap') fail(`${code}: ${String(error)}`)
  }
}
const data = foreign('Float32Array.from({ length: 768 }, (_, index) => index % 5)')
const projection = Projection.fitPca({ rows: 2, dimensions: 384, data }, { components: 1 })
if (projection.apply(foreign('new Float32Array(384)')).length !== 1) fail('no point')
if (semanticSearch(data.subarray(384), { rows: 2, dimensions: 384, data })[0].index !== 1) fail('another row')

for (let round = 0; round < 40; round++) {
  // Every third call is aborted by a signal of the context; nothing else keeps the context.
  const signal = round % 3 === 0 ? `(() => { const its = new AbortController(); its.abort(); return its.signal })()` : 'undefined'
  void settled(foreign(`embedder.embedBatch(['context ${round}', 'goes'], { signal: ${signal} })`))
  if (round % 10 === 0) {
    globalThis.gc()
    await pause(5)
  }
}
globalThis.gc()
if ((await embedder.embed('one text'))[0] !== expected[0]) fail('another vector after the contexts went')
console.log('done')
