// Watches a chat as it happens: each exchange is judged when the reply is there, and the application decides what an alert means.
//
// usage: node examples/monitor-chat.js [transcript [system-prompt]]     default: the shop assistant that is talked out of its rules

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Monitor, parseTranscript } from 'gabion'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

const [file = here('shop-refund-eroding.json'), prompt = here('shop-system-prompt.md')] = process.argv.slice(2)

// Stands in for your users and your language model: it replays a conversation.
const [{ id, exchanges }] = parseTranscript(await readFile(file, 'utf8'), file)

// The bundled model and the guard, which reads the assistant's rules with each reply. Its lines: calibrate.js sets your own.
const monitor = await Monitor.load()
const conversation = monitor.conversation(id, { system: await readFile(prompt, 'utf8') })

for (const { user, assistant } of exchanges) {
  const verdict = await conversation.addExchange({ user, assistant })
  console.log(`${String(verdict.exchange).padStart(2)}  ${verdict.level.padEnd(8)}  ${verdict.likelihood.toFixed(2)}  ${user.slice(0, 60)}`)
  if (verdict.alert) {
    // Here a person would be called, or the conversation handed over. The reasons are sentences for that person.
    console.log(`    ALERT: ${verdict.reasons[0]}`)
    break
  }
}

// A conversation survives a restart: it is plain JSON, without the texts.
const saved = JSON.stringify(conversation)
monitor.forget(id)
const restored = monitor.restore(JSON.parse(saved))
console.log(`saved in ${saved.length} bytes and restored after exchange ${restored.exchanges}`)

monitor.dispose()
