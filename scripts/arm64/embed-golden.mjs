// Embeds the first texts of the golden file and prints the vectors; run by arm64's Node and by this machine's alike.
// usage: node embed-golden.mjs COUNT MODEL_FOLDER|- PRECISION

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { Embedder } from '../../dist/index.js'

const [count, model, precision] = process.argv.slice(2)
const [, ...texts] = JSON.parse(
  gunzipSync(readFileSync(new URL('../../test/fixtures/vectors.golden.json.gz', import.meta.url))).toString('utf8'),
)
const embedder = await Embedder.load({ ...(model === '-' ? {} : { model }), precision, threads: 1, onTruncated: () => undefined })
const batch = await embedder.embedBatch(texts.slice(0, Number(count)).map(({ text }) => text))
const { instructionSet, precision: used } = embedder.info
const vectors = Buffer.from(batch.data.buffer, batch.data.byteOffset, batch.data.byteLength).toString('base64')
const libraries = process.report.getReport().sharedObjects.filter((file) => /gabion(\.node|_onnx)/.test(file))
console.log(JSON.stringify({ arch: process.arch, node: process.version, instructionSet, precision: used, libraries, vectors }))
embedder.dispose()
