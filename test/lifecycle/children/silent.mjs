// A first use, for the test that looks at what it leaves on disk and whom it calls.
import { Embedder } from '../../../dist/index.js'
import { pause } from './texts.mjs'

const embedder = await Embedder.load()
await embedder.embed('nobody else hears this')
// gabion's own encoder does without ONNX Runtime; asking for its version opens it.
if (embedder.info.runtimeVersion === '') throw new Error('no version')
await pause(1500)
console.log('done')
