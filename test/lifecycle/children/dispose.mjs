// dispose() while runs are in flight: they end well, new ones are refused, and the next embedder works.
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts } from './texts.mjs'

for (let round = 0; round < 5; round++) {
  const embedder = await Embedder.load({ threads: 1 + (round % 3) })
  const batch = embedder.embedBatch(mixedTexts(40, `round ${round}`))
  const single = embedder.embed(`single ${round}`)
  embedder.dispose()
  embedder.dispose()
  const refused = await embedder.embed('too late').then(
    () => fail('a disposed embedder embedded'),
    (error) => error.code,
  )
  if (refused !== 'DISPOSED') fail(`refused with ${refused}`)
  const settled = await Promise.allSettled([batch, single])
  for (const { status, reason } of settled) {
    if (status === 'rejected') fail(`a run under way was dropped: ${reason.message}`)
  }
}
console.log('done')
