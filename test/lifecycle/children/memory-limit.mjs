// The process may have hardly more memory than it has (RLIMIT_AS, as `ulimit -v` sets it): what does not fit is a coded error, what runs goes on,
// and once there is room again everything works.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts } from './texts.mjs'

const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:unlimited`])
const taken = () => Number(/^VmSize:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
const codeOf = (promise) => promise.then(() => 'fulfilled', (error) => error.code) // prettier-ignore

const embedder = await Embedder.load({ cache: false, threads: 2 })
const vector = await embedder.embed('one text')
limit(taken() + (80 << 20))
const codes = {
  // Quantizing at load takes its weights once more, which is more than that.
  load: await codeOf(Embedder.load({ precision: 'int8', threads: 2 })),
  threads: await codeOf(Embedder.load({ threads: 500 })),
  text: await codeOf(embedder.embed('one text')),
  batch: await codeOf(embedder.embedBatch(mixedTexts(200))),
}
limit('unlimited')
if (codes.load !== 'OUT_OF_MEMORY' || codes.threads !== 'OUT_OF_MEMORY') fail(JSON.stringify(codes))
if (codes.text !== 'fulfilled' || codes.batch !== 'fulfilled') fail(JSON.stringify(codes))
const int8 = await Embedder.load({ precision: 'int8' })
if ((await int8.embed('one text')).length !== 384) fail('no vector')
if (Buffer.compare(Buffer.from((await embedder.embed('one text')).buffer), Buffer.from(vector.buffer)) !== 0) fail('another vector')
console.log('done')
