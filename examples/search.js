// Embeds a few documents and finds those nearest to a question.
//
// usage: node examples/search.js ["your question"]

import { Embedder, semanticSearch } from 'gabion'

const documents = [
  'Refunds are paid back within fourteen days of the return.',
  'Our shops are open from nine to six, on Saturdays until four.',
  'A lost card can be blocked around the clock by telephone.',
  'Parcels can be redirected to a pick-up point until the evening before delivery.',
  'To change your password, open the settings and choose Security.',
  'The espresso machine needs descaling about every three months.',
]
const question = process.argv[2] ?? 'How do I get my money back?'

// The bundled model: no download, no service. The first load takes a few milliseconds.
const embedder = await Embedder.load()

// All documents in one call: a row per text, in one Float32Array.
const vectors = await embedder.embedBatch(documents)
const query = await embedder.embed(question)

console.log(question)
for (const { index, score } of semanticSearch(query, vectors, { topK: 3 })) console.log(`  ${score.toFixed(3)}  ${documents[index]}`)

embedder.dispose()
