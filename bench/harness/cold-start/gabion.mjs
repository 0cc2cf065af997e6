// First vector of a new process.
import { Embedder } from 'gabion'

const embedder = await Embedder.load()
const vector = await embedder.embed('How do I reset my password?')
console.log(JSON.stringify([...vector.slice(0, 4)]))
process.exit(0)
