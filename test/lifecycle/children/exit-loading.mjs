// process.exit while a model is being opened.
import { Embedder } from '../../../dist/index.js'
import { pause } from './texts.mjs'

void Embedder.load()
await pause(Number(process.argv[2]))
process.exit(7)
