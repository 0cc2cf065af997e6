// First vector of a new process, as a careful user writes it. usage: FOLDER GRAPH
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import ort from 'onnxruntime-node'

const [folder, graph] = process.argv.slice(2)
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const tokenizer = new Tokenizer({ ...read('tokenizer.json'), padding: null, truncation: null }, read('tokenizer_config.json'))
const session = await ort.InferenceSession.create(graph, { intraOpNumThreads: 1 })
const { ids } = tokenizer.encode('How do I reset my password?')
const tensor = (values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
const { last_hidden_state: hidden } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) })
const [, tokens, width] = hidden.dims
const vector = Float64Array.from({ length: width }, (_, column) => {
  let sum = 0
  for (let row = 0; row < tokens; row++) sum += hidden.data[row * width + column]
  return sum / tokens
})
const length = Math.hypot(...vector)
console.log(JSON.stringify([...vector.slice(0, 4)].map((value) => value / length)))
process.exit(0)
