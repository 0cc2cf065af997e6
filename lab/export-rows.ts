// Writes the exchanges that ideas and the second stage are trained and measured on: one JSON object a line, with the logits of the first
// stage (by the reference recipe) from heads that have not seen the exchange's set; and in a file next to it, their vectors as 32-bit
// floats, for each exchange the user's and those of the reply's windows.
//
//   node --import tsx lab/export-rows.ts build/vectors build/lab/rows.jsonl

import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { finished } from 'node:stream/promises'
import { rowWeights, type EmbeddedExchange } from '../lib/detection/training/exchanges.js'
import { VARIANTS } from '../lib/detection/training/recipe.js'
import { fitHead, logitsAtRunTime } from '../lib/detection/training/train-head.js'
import { Embedder } from '../lib/embedding/embedder.js'
import { bundledSets } from './sets.js'
import { TEMPLATE_SET } from './templates.js'

const [cache, target] = process.argv.slice(2)
if (cache === undefined || target === undefined) throw new Error('expected a folder of vectors and the file to write')
using embedder = await Embedder.load()
const sets = await bundledSets(embedder, cache)
const { training, masses, dimensions, written } = sets
const headWithout = (set: string | null): ReturnType<typeof fitHead>['head'] => {
  const rows = training.filter((exchange) => exchange.set !== set)
  return fitHead(rows, rowWeights(rows, masses), { recipe: VARIANTS.reference, dimensions }).head
}

await mkdir(dirname(target), { recursive: true })
const out = createWriteStream(target)
const vectors = createWriteStream(target.replace(/\.jsonl$/, '.f32'))
const write = (part: string, exchanges: readonly EmbeddedExchange[], logits: ArrayLike<number>): void => {
  for (const [index, exchange] of exchanges.entries()) {
    const { set, group, conversation, label, user, reply, flags } = exchange
    const kind = set === TEMPLATE_SET ? written[index]!.kind : null
    const windows = exchange.replyWindows.length
    out.write(
      `${JSON.stringify({ part, set, group, conversation, exchange: exchange.exchange, label, kind, user, reply, flags, windows, head: logits[index] })}\n`,
    )
    for (const vector of [exchange.userVector, ...exchange.replyWindows]) vectors.write(Buffer.from(Float32Array.from(vector).buffer))
  }
}
const whole = headWithout(null)
for (const set of new Set(training.map((exchange) => exchange.set))) {
  const rows = training.filter((exchange) => exchange.set === set)
  const bothClasses = new Set(rows.map(({ label }) => label)).size === 2 && set !== TEMPLATE_SET
  // The written exchanges come first in `training`, in their order.
  write('training', rows, logitsAtRunTime(bothClasses ? headWithout(set) : whole, rows))
}
write('heldOut', sets.heldOut, logitsAtRunTime(whole, sets.heldOut))
for (const rows of Object.values(sets.measured)) write('measured', rows, logitsAtRunTime(whole, rows))
for (const stream of [out, vectors]) {
  stream.end()
  await finished(stream)
}
