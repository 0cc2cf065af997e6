// Converts a model, or loads one and embeds a text, and prints the most memory that this process ever had resident.
//
// usage: model-memory.mjs convert SOURCE OUT | measure SOURCE OUT | load FOLDER      measure converts and runs the graphs

import { readFileSync } from 'node:fs'
import { convertModel } from '../../../dist/convert/index.js'
import { Embedder } from '../../../dist/index.js'

const [what, folder, out] = process.argv.slice(2)
if (what !== 'load') await convertModel({ source: folder, out, precisions: ['fp32'], measure: what === 'measure' })
else {
  const embedder = await Embedder.load({ model: folder, precision: 'fp32' })
  const vector = await embedder.embed('A text, so that every layer has been run once.')
  if (!vector.every(Number.isFinite)) throw new Error('the vector is not finite')
  embedder.dispose()
}
// Of this program alone: the count that resourceUsage() gives may still be the parent's.
const kilobytes = Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
console.log(JSON.stringify({ peakBytes: kilobytes * 1024 }))
