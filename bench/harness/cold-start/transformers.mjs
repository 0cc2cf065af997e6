// First vector of a new process. usage: PARENT_FOLDER MODEL_NAME
import { env, pipeline } from '@huggingface/transformers'

const [parent, name] = process.argv.slice(2)
env.localModelPath = parent
env.allowRemoteModels = false
const extract = await pipeline('feature-extraction', name, { dtype: 'fp32' })
const output = await extract('How do I reset my password?', { pooling: 'mean', normalize: true })
console.log(JSON.stringify([...output.data.slice(0, 4)]))
process.exit(0)
