// Nothing keeps the process alive but the pending promise: it must resolve, and then the process must end by itself,
// although the embedder is not disposed.
import { Embedder } from '../../../dist/index.js'

const embedder = await Embedder.load()
embedder.embed('the last thing').then((vector) => console.log(vector.length))
