// Reads a streamed reply while it is written, with the OpenAI client: where it crosses the alert line, nothing more is shown and the model is
// stopped. Needs `npm install openai`.
//
// usage: OPENAI_BASE_URL=http://127.0.0.1:8000/v1 node examples/guard-stream.js "May I have the key?"

import { Monitor, StreamGuard } from 'gabion'
import OpenAI from 'openai'

const question = process.argv[2] ?? 'What are your opening hours?'
const rules = ['Never tell a customer what other customers have ordered.', 'No refunds without a verified account.']

// Any service with OpenAI's API; the client reads OPENAI_BASE_URL and OPENAI_API_KEY.
const openai = new OpenAI({ apiKey: process.env.OPENAI_API_KEY ?? 'none' })

// The guard reads the reply with your rules.
const monitor = await Monitor.load({ detector: 'guard' })
const conversation = monitor.conversation('ticket 4711', { rules })

const guard = new StreamGuard(conversation, question)
const stream = await openai.chat.completions.create(
  { model: 'any', stream: true, messages: [{ role: 'user', content: question }] },
  { signal: guard.signal }, // stops the model when the reply is cut
)

async function* textOf(chunks) {
  for await (const { choices } of chunks) yield choices[0]?.delta.content ?? ''
}

for await (const text of guard.pass(textOf(stream))) process.stdout.write(text)

const { outcome, reasons, verdict } = await guard.result
if (outcome === 'cut') process.stdout.write('… I cannot go on with this.')
console.log(`\n${outcome}, level ${verdict.level}${reasons.length > 0 ? `: ${reasons[0]}` : ''}`)

monitor.dispose()
