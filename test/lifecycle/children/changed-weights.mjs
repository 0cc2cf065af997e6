// The weights of a model in use are written into, cut, replaced, or taken away: a coded error or the same vector, never another one.
//
// usage: changed-weights.mjs FOLDER overwrite|cut|replace|remove      FOLDER: a copy of the bundled model that may be spoilt

import { copyFileSync, openSync, renameSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Embedder } from '../../../dist/index.js'
import { fail, pause } from './texts.mjs'

const [folder, how] = process.argv.slice(2)
const weights = join(folder, 'onnx', 'weights_bf16.safetensors')
const embedder = await Embedder.load({ model: folder, cache: false })
const vector = await embedder.embed('one text')
// The clock of file systems goes in steps of some milliseconds.
await pause(20)
if (how === 'overwrite') writeSync(openSync(weights, 'r+'), Buffer.alloc(8 << 20, 7), 0, 8 << 20, 1 << 20)
if (how === 'cut') truncateSync(weights, 4096)
if (how === 'replace') {
  copyFileSync(join(folder, 'tokenizer.json'), `${weights}.new`)
  renameSync(`${weights}.new`, weights)
}
if (how === 'remove') rmSync(weights)

const outcome = async (work) => {
  try {
    return { vector: await work() }
  } catch (error) {
    return { code: error.code }
  }
}
const isSpoilt = how === 'overwrite' || how === 'cut'
const calls = [
  () => embedder.embed('one text'),
  async () => embedder.embedSync('one text'),
  async () => (await embedder.embedBatch(['another', 'one text'])).row(1),
  async () => (await embedder.embedWindows(['one text'], { size: 20, stride: 10 })).vectors?.data ?? vector,
]
for (const [at, call] of calls.entries()) {
  const { code, vector: got } = await outcome(call)
  if (isSpoilt && code !== 'MODEL_INVALID') fail(`call ${at} ended with ${code ?? 'a vector'}`)
  if (!isSpoilt && code !== undefined) fail(`call ${at} ended with ${code}`)
  if (!isSpoilt && got.length === 384 && Buffer.compare(Buffer.from(new Float32Array(got).buffer), Buffer.from(vector.buffer)) !== 0) {
    fail(`call ${at} gave another vector`)
  }
}
const { code } = await outcome(() => Embedder.load({ model: folder }))
if (code === undefined) fail('the spoilt folder was loaded')
embedder.dispose()
const bundled = await Embedder.load({ cache: false })
if (Buffer.compare(Buffer.from((await bundled.embed('one text')).buffer), Buffer.from(vector.buffer)) !== 0)
  fail('the bundled model gave another vector')
console.log(`done: ${code}`)
