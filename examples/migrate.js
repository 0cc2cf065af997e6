// Leaves a cloud's embedding model without embedding the stored documents again: an adapter maps local vectors to the cloud's space, so
// that new questions, embedded here, find documents that the cloud embedded. docs/migrate.md has every step and the commands.
//
// usage: node examples/migrate.js

import { cosineSimilarity, Embedder } from 'gabion'
import { LinearAdapter } from 'gabion/projection'

const embedder = await Embedder.load()

// Stands in for the cloud: a linear map of local vectors, which an adapter finds again nearly exactly. A real model's vectors are
// carried less well; `quality` says how well. Yours is a client, or vectors that you stored.
const random = (index) => Math.sin(index * 12.9898) * 43758.5453 - Math.floor(Math.sin(index * 12.9898) * 43758.5453) - 0.5
async function cloudEmbed(texts) {
  const local = await embedder.embedBatch(texts)
  const data = new Float32Array(texts.length * 128)
  for (const [row, vector] of [...local].entries())
    for (let i = 0; i < 128; i++) data[row * 128 + i] = vector.reduce((sum, value, j) => sum + value * random(i * 384 + j), 0)
  return { rows: texts.length, dimensions: 128, data }
}

// Texts that both have embedded: 500 or more, like those you search. Here they are made from a few words.
const what = ['parcel', 'refund', 'invoice', 'password', 'card', 'appointment', 'subscription', 'bicycle', 'train ticket', 'garden shed']
const how = ['is late', 'has been lost', 'needs a change', 'was cancelled', 'arrived today', 'is too expensive', 'looks wrong', 'is blocked']
const who = ['My', "My neighbor's", 'Our', 'The old', 'Your second', 'This', "The children's", 'Another']
const texts = who.flatMap((a) => what.flatMap((b) => how.map((c) => `${a} ${b} ${c}.`)))

const adapter = LinearAdapter.fit(await embedder.embedBatch(texts), await cloudEmbed(texts), { target: 'the cloud' })
console.log(`fitted on ${texts.length} pairs; mean cosine ${adapter.quality.meanCosine.toFixed(3)} on ${adapter.quality.heldBack} held back`)

// The stored documents, embedded by the cloud years ago, and a question that only this process has seen.
const documents = ['Deliveries take two days.', 'A blocked card is replaced for free.', 'Sheds are delivered in one piece.']
const stored = await cloudEmbed(documents)
const question = adapter.apply(await embedder.embed('What does a new card cost when mine is blocked?'))
for (const [index, document] of documents.entries()) {
  const vector = stored.data.subarray(index * 128, (index + 1) * 128)
  console.log(`  ${cosineSimilarity(question, vector).toFixed(3)}  ${document}`)
}

embedder.dispose()
