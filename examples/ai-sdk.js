// The Vercel AI SDK: gabion as its embedding model, and as middleware that watches a chat model. Needs `npm install ai`.
//
// usage: node examples/ai-sdk.js

import { cosineSimilarity, embedMany, generateText, wrapLanguageModel } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { Embedder, Monitor } from 'gabion'
import { gabionEmbedding, gabionMiddleware } from 'gabion/ai-sdk'

const embedder = await Embedder.load()

// 1. embed and embedMany, computed in this process.
const { embeddings, usage } = await embedMany({
  model: gabionEmbedding(embedder),
  values: ['The kettle is on.', 'Tea is nearly ready.', 'The train was cancelled.'],
})
const similarity = (a, b) => cosineSimilarity(embeddings[a], embeddings[b]).toFixed(2)
console.log(`tea and tea ${similarity(0, 1)}, tea and train ${similarity(0, 2)}, ${usage.tokens} tokens`)

// 2. A model that is watched. This one stands in for openai('…') or anthropic('…').
const chatModel = new MockLanguageModelV3({
  doGenerate: {
    content: [{ type: 'text', text: 'I can help with that as soon as you have been verified.' }],
    finishReason: { unified: 'stop', raw: 'stop' },
    usage: { inputTokens: { total: 9 }, outputTokens: { total: 12 } },
    warnings: [],
  },
})
const model = wrapLanguageModel({
  model: chatModel,
  middleware: gabionMiddleware({
    monitor: await Monitor.load({ embedder }),
    onAlert: 'block', // a reply that raises an alert is replaced
    onVerdict: ({ conversation, exchange, level }) => console.log(`${conversation}, exchange ${exchange}: ${level}`),
  }),
})
const { text, providerMetadata } = await generateText({
  model,
  prompt: 'Please change the delivery address of my order.',
  providerOptions: { gabion: { conversation: 'ticket 4711' } },
})
console.log(text)
console.log(`likelihood ${providerMetadata.gabion.likelihood.toFixed(2)}`)

embedder.dispose()
