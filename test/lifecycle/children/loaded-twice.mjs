// The addon once more in one process: under its own path again, and as a copy at another path, as two versions of a package bring it.
// Both work side by side, and neither takes the other's handles.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { Embedder } from '../../../dist/index.js'
import { BINARIES, binariesLocation, nativeAddon, resolveModel } from '../../../dist/internals.js'
import { fail } from './texts.mjs'

const require = createRequire(import.meta.url)
const { folder } = binariesLocation()
const copies = mkdtempSync(join(tmpdir(), 'gabion-twice-'))
for (const name of BINARIES) copyFileSync(join(folder, name), join(copies, name))

const embedder = await Embedder.load({ cache: false })
const expected = await embedder.embed('one text')

const description = await resolveModel()
const { pooling, tokenizerFile, vocabularySize, dimensions, maxSequenceLength, graphs } = description
const options = {
  ...{ pooling, tokenizerFile, vocabularySize, dimensions, normalize: true, maxTokens: maxSequenceLength },
  ...{ graphFile: graphs[0].file, providers: ['cpu'], encoderPrecision: 'bf16' },
}
const open = (addon) =>
  new Promise((resolve, reject) => {
    addon.openModel(options, (code, message, model) => (model === undefined ? reject(new Error(`${code}: ${message}`)) : resolve(model)))
  })
const embed = (addon, model) =>
  new Promise((resolve, reject) => {
    addon.embed(model, ['one text'], null, null, (code, message, result) =>
      result === undefined ? reject(new Error(message)) : resolve(result.vectors),
    )
  })

const copy = require(join(copies, 'gabion.node'))
if (copy === nativeAddon()) fail('the copy is the same module')
const own = join(folder, 'gabion.node')
delete require.cache[own]
const again = require(own)
const models = []
for (const [name, addon] of Object.entries({ again, copy })) {
  const model = await open(addon)
  models.push(model)
  const vectors = await Promise.all(Array.from({ length: 4 }, () => embed(addon, model)))
  for (const vector of vectors) {
    if (Math.abs(vector.reduce((sum, value, i) => sum + value * expected[i], 0) - 1) > 1e-3) fail(`${name} gave another vector`)
  }
}
for (const wrong of [{}, null, copy, () => undefined]) {
  try {
    again.closeModel(wrong)
    fail('something that is no model was closed')
  } catch (error) {
    if (!(error instanceof Error)) fail(`threw ${String(error)}`)
  }
}
again.closeModel(models[0])
copy.closeModel(models[1])
if (Buffer.compare(Buffer.from((await embedder.embed('one text')).buffer), Buffer.from(expected.buffer)) !== 0)
  fail('another vector at the end')
rmSync(copies, { recursive: true })
console.log('done')
