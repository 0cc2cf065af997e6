// The process may have hardly more memory than it has (RLIMIT_AS, as `ulimit -v` sets it): what does not fit is a coded error, what runs goes on,
// and once there is room again everything works.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts } from './texts.mjs'

const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:unlimited`])
const folder = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const taken = () => Number(/^VmSize:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
const codeOf = (promise) => promise.then(() => 'fulfilled', (error) => error.code) // prettier-ignore

const embedder = await Embedder.load({ cache: false, threads: 2 })
const vector = await embedder.embed('one text')
// A tokenizer of the library's takes up to 250 bytes for each byte of text.
const wordy = await Embedder.load({
  model: folder('test/fixtures/family/xlm-roberta'),
  precision: 'fp32',
  cache: false,
  threads: 2,
  onTruncated: () => undefined,
})
const huge = 'a few words '.repeat(100_000)
limit(taken() + (80 << 20))
const codes = {
  // The mapped weights and their copies are more than that.
  load: await codeOf(Embedder.load({ model: folder('build/models/all-MiniLM-L6-v2'), precision: 'fp32', threads: 2 })),
  threads: await codeOf(Embedder.load({ threads: 500 })),
  text: await codeOf(embedder.embed('one text')),
  batch: await codeOf(embedder.embedBatch(mixedTexts(200))),
  huge: await codeOf(wordy.embed(huge)),
  windows: await codeOf(wordy.embedWindows([huge], { size: 100, stride: 100 })),
}
limit('unlimited')
if (codes.load !== 'OUT_OF_MEMORY' || codes.threads !== 'OUT_OF_MEMORY') fail(JSON.stringify(codes))
if (codes.huge !== 'OUT_OF_MEMORY' || codes.windows !== 'OUT_OF_MEMORY') fail(JSON.stringify(codes))
if (codes.text !== 'fulfilled' || codes.batch !== 'fulfilled') fail(JSON.stringify(codes))
if ((await wordy.embed(huge)).length !== wordy.dimensions) fail('no vector of the huge text')
const int8 = await Embedder.load({ precision: 'int8' })
if ((await int8.embed('one text')).length !== 384) fail('no vector')
if (Buffer.compare(Buffer.from((await embedder.embed('one text')).buffer), Buffer.from(vector.buffer)) !== 0) fail('another vector')
console.log('done')
