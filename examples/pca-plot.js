// Draws sentences as points in the plane of their two principal components, in the terminal.
//
// usage: node examples/pca-plot.js

import { Embedder, Projection } from 'gabion'

const groups = {
  c: ['Please bring me a cup of coffee.', 'The espresso is too bitter.', 'This café roasts its own beans.', 'I drink my coffee black.'],
  w: ['It will rain all afternoon.', 'The storm moves towards the coast.', 'Tomorrow will be sunny and mild.', 'Snow fell during the night.'],
  m: ['The orchestra plays Mahler tonight.', 'She practises the violin daily.', 'The choir sang without notes.', 'His new album is out.'],
}
const texts = Object.values(groups).flat()
const marks = Object.entries(groups).flatMap(([mark, sentences]) => sentences.map(() => mark))

const embedder = await Embedder.load()
const vectors = await embedder.embedBatch(texts)

// The fit takes the vectors as they come. The same projection can be given to embed(), which then returns points.
const { model: name, modelHash: hash, precision } = embedder.info
const plane = Projection.fitPca(vectors, { components: 2, model: { name, hash, precision } })
const points = [...vectors].map((vector) => plane.apply(vector))

const [width, height] = [64, 18]
const scaleOf = (axis, cells) => {
  const values = points.map((point) => point[axis])
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return (value) => Math.round(((value - low) / (high - low)) * (cells - 1))
}
const [column, row] = [scaleOf(0, width), scaleOf(1, height)]
const canvas = Array.from({ length: height }, () => Array.from({ length: width }, () => ' '))
for (const [index, [x, y]] of points.entries()) canvas[height - 1 - row(y)][column(x)] = marks[index]

console.log(`┌${'─'.repeat(width)}┐`)
for (const line of canvas) console.log(`│${line.join('')}│`)
console.log(`└${'─'.repeat(width)}┘`)
const shares = Array.from(plane.explainedVarianceRatio, (share) => `${(100 * share).toFixed(0)} %`)
console.log(`c coffee, w weather, m music; the two axes carry ${shares.join(' and ')} of the variance`)

// `await plane.save('plane.pca.json')` keeps it with the model's name and hash, so that vectors of another model are refused.
embedder.dispose()
