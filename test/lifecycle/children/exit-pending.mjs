// process.exit with promises pending, while texts run and wait.
import { Embedder } from '../../../dist/index.js'
import { mixedTexts, pause } from './texts.mjs'

const embedder = await Embedder.load()
void embedder.embedBatch(mixedTexts(300))
void embedder.embed('a single one')
await pause(Number(process.argv[2]))
process.exit(7)
