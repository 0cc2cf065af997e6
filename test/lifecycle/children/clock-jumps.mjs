// The wall clock jumps years ahead and back while texts run, models load and conversations are judged: nothing waits for it, nothing is thrown away.
// Preloaded: clock.c, which reads the jump from CLOCK_FILE.

import { renameSync, writeFileSync } from 'node:fs'
import { Embedder, Monitor } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const jumpTo = (seconds) => {
  writeFileSync(`${process.env.CLOCK_FILE}.new`, String(seconds))
  renameSync(`${process.env.CLOCK_FILE}.new`, process.env.CLOCK_FILE)
}
const began = Date.now()
jumpTo(10 * 365 * 86_400)
await pause(50)
if (Date.now() - began < 300 * 86_400_000) fail('the clock did not jump: is clock.c preloaded?')
jumpTo(0)

const embedder = await Embedder.load({ threads: 2 })
const expected = await embedder.embedBatch(mixedTexts(60), {})
const monitor = await Monitor.load({ embedder })
const conversation = monitor.conversation('jumps')
for (const years of [10, -20, 0, 200, -50]) {
  const running = embedder.embedBatch(mixedTexts(60, `years ${years}`))
  const loading = Embedder.load({ cache: false })
  jumpTo(years * 365 * 86_400)
  await pause(15)
  if ((await running).rows !== 60) fail('a batch is short')
  const other = await loading
  const again = await other.embedBatch(mixedTexts(60))
  if (Buffer.compare(Buffer.from(again.data.buffer), Buffer.from(expected.data.buffer)) !== 0) fail('other vectors')
  other.dispose()
  const { timings } = await conversation.addExchange({ user: `a question in ${years} years`, assistant: 'an answer' })
  for (const [part, ms] of Object.entries(timings)) if (!(ms >= 0 && ms < 60_000)) fail(`${part} took ${ms} ms`)
  const late = await embedder.embedBatch(mixedTexts(400, `late ${years}`), { signal: AbortSignal.timeout(5) }).then(() => 'fulfilled', (error) => error.code) // prettier-ignore
  if (late !== 'ABORTED') fail(`a deadline of 5 ms ended with ${late}`)
}
console.log('done')
