// Embeds one text with the installed package and reports which files it ran from. Loading compares a vector with the stored one by itself.
import { readFileSync } from 'node:fs'
import { Embedder } from 'gabion'

const embedder = await Embedder.load()
const vector = await embedder.embed('The kettle is on.')
// The bundled model needs no ONNX Runtime; asking for its version opens it.
if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
// From the kernel: Bun and Deno have no process.report.
const libraries = [...new Set(readFileSync('/proc/self/maps', 'utf8').match(/\/.*gabion(\.node|_onnx).*/g))]
console.log(JSON.stringify({ node: process.version, dimensions: vector.length, length: Math.hypot(...vector), libraries }))
embedder.dispose()
