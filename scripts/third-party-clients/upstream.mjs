// A chat service in the forms of OpenAI, Anthropic and Ollama, whole and streamed, with one harmless reply to everything.

import { once } from 'node:events'
import { createServer } from 'node:http'

/** What it replies. */
export const REPLY = 'We open at nine and close at five.'

const WORDS = REPLY.match(/\S+\s*/g)
const USAGE = { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 }
const MODEL = 'parrot'

const sse = (data, name) => `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`

function openai(stream) {
  const about = { id: 'chatcmpl-1', created: 1, model: MODEL }
  const message = { role: 'assistant', content: REPLY }
  if (!stream)
    return [JSON.stringify({ ...about, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage: USAGE })]
  const chunk = (delta, finish_reason = null) =>
    sse({ ...about, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })
  return [chunk({ role: 'assistant', content: '' }), ...WORDS.map((content) => chunk({ content })), chunk({}, 'stop'), 'data: [DONE]\n\n']
}

function anthropic(stream) {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: MODEL, stop_sequence: null }
  const usage = { input_tokens: 5, output_tokens: 9 }
  if (!stream) return [JSON.stringify({ ...message, content: [{ type: 'text', text: REPLY }], stop_reason: 'stop_sequence', usage })]
  const event = (type, fields) => sse({ type, ...fields }, type)
  return [
    event('message_start', { message: { ...message, content: [], stop_reason: null, usage } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...WORDS.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'stop_sequence', stop_sequence: null }, usage: { output_tokens: 9 } }),
    event('message_stop', {}),
  ]
}

function ollama(stream) {
  const line = (content, done) =>
    `${JSON.stringify({ model: MODEL, created_at: '2026-01-01T00:00:00Z', message: { role: 'assistant', content }, done, ...(done && { done_reason: 'stop' }) })}\n`
  return stream ? [...WORDS.map((word) => line(word, false)), line('', true)] : [line(REPLY, true)]
}

const FORMS = {
  '/v1/chat/completions': { answer: openai, type: 'text/event-stream' },
  '/v1/messages': { answer: anthropic, type: 'text/event-stream' },
  '/api/chat': { answer: ollama, type: 'application/x-ndjson' },
}

/** Starts it on a free port; resolves with the server and its URL. */
export async function startUpstream() {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const form = FORMS[request.url.split('?')[0]]
    if (form === undefined) return response.writeHead(404).end('{"error":{"message":"no such path"}}')
    const { stream = form === FORMS['/api/chat'] } = JSON.parse(body)
    response.writeHead(200, { 'content-type': stream ? form.type : 'application/json' })
    for (const part of form.answer(stream)) {
      response.write(part)
      // A chunk of its own each, as from a model that writes.
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${server.address().port}` }
}
