// Aborts before, during and after a call, in storms; every promise settles once, and what was not aborted ends well.
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const embedder = await Embedder.load()
const codeOf = (promise) =>
  promise.then(
    () => 'fulfilled',
    (error) => error.code,
  )

const before = await codeOf(embedder.embed('never starts', { signal: AbortSignal.abort() }))
if (before !== 'ABORTED') fail(`aborted before: ${before}`)

const after = new AbortController()
await embedder.embed('ends first', { signal: after.signal })
after.abort()

for (let round = 0; round < 30; round++) {
  const controller = new AbortController()
  const calls = [
    codeOf(embedder.embedBatch(mixedTexts(60, `storm ${round}`), { signal: controller.signal })),
    ...Array.from({ length: 20 }, (_, i) => codeOf(embedder.embed(`storm ${round} ${i}`, { signal: controller.signal }))),
  ]
  const bystander = embedder.embed(`bystander ${round}`)
  // Waits for the same text as an aborted call, and must not be taken down with it.
  const joined = embedder.embed(`storm ${round} 0`)
  await pause(round % 10)
  controller.abort(new Error('a reason of the caller'))
  const codes = await Promise.all(calls)
  if (!codes.every((code) => code === 'ABORTED' || code === 'fulfilled')) fail(`round ${round}: ${codes}`)
  if (codes[0] !== 'ABORTED') fail('the batch was not aborted')
  if ((await bystander).length !== 384 || (await joined).length !== 384) fail('a bystander was hurt')
}

// A signal that fires from within the promise's own continuation.
const inside = new AbortController()
await embedder.embed('continuation', { signal: inside.signal }).then(() => inside.abort())
console.log('done')
