// fork() by native code of somebody else's, and Node's own way to start another Node, while texts run: the children end, and the parent goes on.
//
// usage: fork.mjs ADDON      ADDON: the compiled fork.c

import { fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const { forkAndEnd } = createRequire(import.meta.url)(process.argv[2])
const embedder = await Embedder.load({ threads: 2 })
const before = await embedder.embed('before the fork')
for (let round = 0; round < 8; round++) {
  const batch = embedder.embedBatch(mixedTexts(30, `round ${round}`))
  await pause(round)
  const status = forkAndEnd(round % 2 === 1)
  if (status !== 5) fail(`round ${round}: the child ended with ${status}`)
  if ((await batch).rows !== 30) fail('the batch is short')
}
const batch = embedder.embedBatch(mixedTexts(60, 'beside a child'))
const child = fork(new URL('./natural-end.mjs', import.meta.url), { silent: true })
const code = await new Promise((resolve) => child.once('close', resolve))
if (code !== 0) fail(`another Node that embeds ended with ${code}`)
await batch
embedder.dispose()
const status = forkAndEnd(false)
if (status !== 5) fail(`without a model the child ended with ${status}`)
const again = await Embedder.load({ cache: false })
const after = await again.embed('before the fork')
if (Buffer.compare(Buffer.from(before.buffer), Buffer.from(after.buffer)) !== 0) fail('another vector after the forks')
console.log('done')
