// Files of a model that this user may not read, one after the other: each a code that names the file, and with the right back it loads.
//
// usage: unreadable.mjs FOLDER      FOLDER: a copy of the bundled model

import { chmodSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Embedder } from '../../../dist/index.js'
import { fail } from './texts.mjs'

const folder = process.argv[2]
// Nothing is unreadable for root.
if (process.getuid() === 0) process.seteuid(65534)
const asOwner = (work) => {
  if (process.getuid() === 0) process.seteuid(0)
  work()
  if (process.getuid() === 0) process.seteuid(65534)
}
const codes = {}
const files = readdirSync(folder, { recursive: true }).filter((name) => statSync(join(folder, name)).isFile())
for (const name of files) {
  const file = join(folder, name)
  asOwner(() => chmodSync(file, 0))
  try {
    const embedder = await Embedder.load({ model: folder, cache: false })
    if ((await embedder.embed('one text')).length !== 384) fail('no vector')
    embedder.dispose()
    codes[name] = 'loaded'
  } catch (error) {
    codes[name] = error.code
    if (!error.message.includes(name.split('/').at(-1))) fail(`${name}: ${error.message}`)
  }
  asOwner(() => chmodSync(file, 0o644))
}
console.error(JSON.stringify(codes))
for (const name of [
  'tokenizer.json',
  'config.json',
  'modules.json',
  'onnx/weights_bf16.safetensors',
  'onnx/manifest.json',
  'onnx/model_bf16_fused.onnx',
]) {
  if (!/^[A-Z_]+$/.test(codes[name] ?? '') || codes[name] === 'INTERNAL') fail(`${name}: ${codes[name]}`)
}
console.log('done')
