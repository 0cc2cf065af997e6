// First vector of a new process. usage: FOLDER GRAPH_NAME
import { EmbeddingModel, FlagEmbedding } from 'fastembed'

const [modelAbsoluteDirPath, modelName] = process.argv.slice(2)
const model = await FlagEmbedding.init({ model: EmbeddingModel.CUSTOM, modelAbsoluteDirPath, modelName })
// fastembed's option for a graph without token_type_ids.
model.model = EmbeddingModel.MLE5Large
const { value } = await model.embed(['How do I reset my password?']).next()
console.log(JSON.stringify(Array.from(value[0]).slice(0, 4)))
process.exit(0)
