// Writes the page of a detector measured on labelled conversations: tables and plots, in one HTML file that loads nothing.
//
//   node --import tsx lab/evaluate-detector.ts --out evaluation.html [--artifact FILE] [--cache FOLDER] FILE…

import { parseArgs } from 'node:util'
import { nameOf } from '../lib/cli/detector-sets.js'
import { readArtifact } from '../lib/detection/erosion/artifact-file.js'
import { RefusalReader } from '../lib/detection/erosion/lexicon.js'
import { EROSION_ARTIFACTS } from '../lib/detection/erosion/load-erosion.js'
import { evaluate, embedExchanges, exchangesOf, readCorpus, VectorStore } from '../lib/detection/training/index.js'
import { Embedder } from '../lib/embedding/embedder.js'
import { writeWhole } from '../lib/files/pending-file.js'
import { evaluationPage } from './evaluation-page.js'

const { values: flags, positionals: files } = parseArgs({
  options: { out: { type: 'string' }, artifact: { type: 'string', default: EROSION_ARTIFACTS.default }, cache: { type: 'string' } },
  allowPositionals: true,
})
if (flags.out === undefined || files.length === 0) throw new Error('expected --out FILE and files of labelled conversations')

const artifact = await readArtifact(flags.artifact)
using embedder = await Embedder.load()
const store = await VectorStore.open(embedder, artifact.windows, flags.cache ?? null)
const refusals = new RefusalReader(artifact.lexicon)
const evaluations = []
for (const file of files) {
  const corpus = await readCorpus(file, nameOf(file))
  evaluations.push(evaluate(corpus.name, await embedExchanges(exchangesOf(corpus, 'all'), store, refusals), artifact))
}
const { model, precision } = embedder.info
const facts = { detector: artifact.name, thresholds: artifact.thresholds.source, engine: `${model} ${precision}` }
await writeWhole(flags.out, evaluationPage(evaluations, facts))
