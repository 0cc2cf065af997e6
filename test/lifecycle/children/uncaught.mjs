// An exception of the caller while texts run.
import { Embedder } from '../../../dist/index.js'
import { mixedTexts } from './texts.mjs'

const embedder = await Embedder.load()
void embedder.embedBatch(mixedTexts(300))
setTimeout(() => {
  throw new Error('thrown on purpose')
}, 20)
