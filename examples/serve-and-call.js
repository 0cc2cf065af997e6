// Starts the service in this process and calls it as any client would: OpenAI's form for vectors, and the judgement of an exchange.
// From a shell the same service is `gabion serve`.
//
// usage: node examples/serve-and-call.js

import { serve } from 'gabion/server'

const key = 'a-key-for-this-example'
const service = await serve({ port: 0, grpcPort: null, apiKeys: [key] })
console.log('serving with an API key')

async function post(path, body) {
  const response = await fetch(service.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

// The official `openai` clients do this with `baseURL: service.url + '/v1'`.
const { data, usage } = await post('/v1/embeddings', {
  model: 'all-MiniLM-L6-v2',
  input: ['The kettle is on.', 'Tea is nearly ready.'],
})
console.log(`${data.length} vectors of ${data[0].embedding.length} dimensions, ${usage.total_tokens} tokens`)

// A conversation is begun by its first exchange.
const verdict = await post('/v1/conversations/ticket-4711/exchanges', {
  user: 'Please change the delivery address of my order.',
  assistant: 'I can do that as soon as you have been verified.',
})
console.log(`exchange ${verdict.exchange}: ${verdict.level}, likelihood ${verdict.likelihood.toFixed(2)}`)

// Requests in flight are finished first.
await service.stop()
console.log('stopped')
