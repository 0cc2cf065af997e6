// Signals while texts run: they go to the process's own thread, and the encoder threads neither take them nor lose work by them.
//
// usage: signals.mjs handled|default

import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const embedder = await Embedder.load({ threads: 2 })
const batch = embedder.embedBatch(mixedTexts(200))
if (process.argv[2] === 'default') {
  await pause(20)
  process.kill(process.pid, 'SIGTERM')
  await batch
  fail('SIGTERM did not end the process')
}
const seen = {}
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGWINCH', 'SIGPIPE', 'SIGCHLD']) {
  seen[name] = 0
  process.on(name, () => seen[name]++)
}
let sent = 0
const storm = setInterval(() => {
  for (const name of Object.keys(seen)) process.kill(process.pid, name)
  sent++
}, 1)
const done = await batch
clearInterval(storm)
await pause(50)
if (done.rows !== 200) fail('the batch is short')
for (const [name, count] of Object.entries(seen)) if (count === 0) fail(`${name} was sent ${sent} times and never seen`)
const again = await embedder.embedBatch(mixedTexts(200))
if (Buffer.compare(Buffer.from(again.data.buffer), Buffer.from(done.data.buffer)) !== 0) fail('other vectors under signals')
console.log('done')
