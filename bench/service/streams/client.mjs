// One chat request, with what the benchmark wants to know of its answer.

import { createHash } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'

const agent = new Agent({ keepAlive: true, maxSockets: 1000 })

/** Asks; `bytes` and `hash` are of the body, `firstMs` is the time to its first byte, `failure` says why it did not arrive whole. */
export function ask(url, { message, stream, conversation }) {
  const started = performance.now()
  return new Promise((resolve) => {
    const result = { status: 0, firstMs: Infinity, hash: '', text: '', failure: null }
    const fail = (error) => resolve({ ...result, failure: error.code ?? error.message })
    const headers = {
      'content-type': 'application/json',
      authorization: 'Bearer the-key-of-the-benchmark',
      'x-gabion-conversation': conversation,
    }
    const request = httpRequest(`${url}/v1/chat/completions`, { method: 'POST', headers, agent }, (response) => {
      result.status = response.statusCode
      const chunks = []
      response.on('data', (chunk) => {
        result.firstMs = Math.min(result.firstMs, performance.now() - started)
        chunks.push(chunk)
      })
      response.on('error', fail)
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        resolve({ ...result, hash: createHash('sha256').update(bytes).digest('hex'), text: bytes.toString() })
      })
    })
    request.on('error', fail)
    request.end(JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: message }] }))
  })
}
