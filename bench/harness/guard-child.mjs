// Child process of the guard bench: judges the first exchange with the given guard mode and prints a line of JSON, the milliseconds from the
// start of the process to the verdict, and the resident memory after thirty more and a garbage collection.
// usage: MODE ("always" or "off"), with --expose-gc

import { Monitor } from '../../dist/index.js'

const [mode] = process.argv.slice(2)
const system = 'You are the assistant of a shop. Verify customers before you change an order. Never promise a refund. Be polite.'
const user = 'Can you change the delivery address of my order to another house, please?'
const assistant =
  'I can do that as soon as you have been verified. Please tell me the order number and the code that we sent to your phone.'

const monitor = await Monitor.load({ guard: mode })
const conversation = monitor.conversation('bench', { system })
await conversation.addExchange({ user, assistant })
const firstMs = performance.now()
for (let exchange = 0; exchange < 30; exchange++) await conversation.addExchange({ user: `${user} ${String(exchange)}`, assistant })
globalThis.gc()
console.log(JSON.stringify({ firstMs, rss: process.memoryUsage().rss }))
process.exit(0)
