// Embeds texts of the golden file, spread over all of it, and prints the vectors; run by Node for arm64 and by this machine's.
// usage: node embed-golden.mjs COUNT PRECISION=MODEL_FOLDER…      a folder `-` is the bundled model

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { Embedder } from '../../dist/index.js'

const [count, ...cases] = process.argv.slice(2)
const [, ...texts] = JSON.parse(
  gunzipSync(readFileSync(new URL('../../test/fixtures/vectors.golden.json.gz', import.meta.url))).toString('utf8'),
)
const rows = Array.from({ length: Number(count) }, (_, index) => Math.floor((index * texts.length) / Number(count)))
const results = []
for (const one of cases) {
  const [precision, model] = one.split('=')
  const embedder = await Embedder.load({ ...(model === '-' ? {} : { model }), precision, threads: 1, onTruncated: () => undefined })
  const batch = await embedder.embedBatch(rows.map((row) => texts[row].text))
  const vectors = Buffer.from(batch.data.buffer, batch.data.byteOffset, batch.data.byteLength).toString('base64')
  results.push({ precision: embedder.info.precision, instructionSet: embedder.info.instructionSet, vectors })
  embedder.dispose()
}
const libraries = process.report.getReport().sharedObjects.filter((file) => /gabion(\.node|_onnx)/.test(file))
console.log(JSON.stringify({ arch: process.arch, node: process.version, rows, libraries, results }))
