// A chat service in the benchmark's process that streams known words at a known pace.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const WORDS = 'we open at nine and close at five and the parcel comes on tuesday with the green bowl that you asked for'.split(' ')

/** Words of a story. */
export const STORY_WORDS = 60
/** Harmless words that differ from story to story. */
export const storyOf = (id) => Array.from({ length: STORY_WORDS }, (_, at) => `${WORDS[(id * 7 + at * (1 + (id % 5))) % WORDS.length]} `)

/**
 * Answers the user message `story N` with that story, `pauseMs` between its words, and any other with `replyTo(message)` at once.
 * `hashOf(N)` is the checksum of the bytes that the story has on the wire.
 */
export async function startUpstream({ pauseMs, replyTo }) {
  const server = createServer(async (request, response) => {
    try {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const { messages, stream } = JSON.parse(Buffer.concat(chunks).toString())
      const asked = messages.at(-1).content
      const story = /^story (\d+)$/.exec(asked)
      if (stream !== true) {
        const message = { role: 'assistant', content: replyTo(asked) }
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] }))
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const event of eventsOf(story === null ? replyTo(asked).split(/(?<= )/) : storyOf(Number(story[1])))) {
        if (!response.write(event)) await once(response, 'drain')
        if (story !== null) await pause(pauseMs)
      }
      response.end()
    } catch {
      response.destroy()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hashOf = (id) =>
    createHash('sha256')
      .update(eventsOf(storyOf(id)).join(''))
      .digest('hex')
  return { url: `http://127.0.0.1:${server.address().port}`, hashOf, stop: () => (server.closeAllConnections(), server.close()) }
}

function eventsOf(words) {
  const chunk = (delta, finish) =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
  return [...words.map((content) => chunk({ content }, null)), chunk({}, 'stop'), 'data: [DONE]\n\n']
}
