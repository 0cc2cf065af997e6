// Prints the files of lib that run code for one `POST /v1/conversations/:id/exchanges`, in a warm service of the bundled model and detector:
//
//   node --import tsx scripts/exchange-walk.mjs
//
// Counted by V8's precise coverage around a single request: a file counts if one of its functions is called during it, so what is
// imported, or runs only at start-up, does not.

import { Session } from 'node:inspector/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { Embedder } from '../lib/embedding/embedder.js'
import { Monitor } from '../lib/monitor/monitor.js'
import { ApiKeys } from '../lib/server/api-keys.js'
import { MemoryStore } from '../lib/server/conversations/memory-store.js'
import { serve } from '../lib/server/serve.js'

const LIB = new URL('../lib/', import.meta.url).href

const embedder = await Embedder.load()
const running = await serve({
  embedder,
  monitor: await Monitor.load({ embedder }),
  store: new MemoryStore({ maxBytes: 2 ** 24, ttlMs: 60_000 }),
  keys: await ApiKeys.read(),
  logger: pino({ level: 'silent' }),
  port: 0,
  grpcPort: null,
})
const post = async (exchange) => {
  const response = await fetch(`${running.url}/v1/conversations/walk/exchanges`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: `How do I bake bread, part ${exchange}?`, assistant: 'Mix flour, water, salt and yeast, and wait.' }),
  })
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  await response.text()
}
// The first requests open connections and fill caches of code.
for (let exchange = 1; exchange < 5; exchange++) await post(exchange)
const inspector = new Session()
inspector.connect()
await inspector.post('Profiler.enable')
await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
await post(5)
const { result } = await inspector.post('Profiler.takePreciseCoverage')
inspector.disconnect()
await running.stop()
embedder.dispose()

// The first function of a script is its module, at offset 0; __name is esbuild's.
const called = result
  .filter(({ url }) => url.startsWith(LIB))
  .map(({ url, functions }) => ({
    file: fileURLToPath(url).slice(fileURLToPath(LIB).length),
    names: functions
      .filter(({ functionName, ranges: [whole] }) => whole.count > 0 && whole.startOffset > 0 && functionName !== '__name')
      .map(({ functionName }) => functionName || '=>'),
  }))
  .filter(({ names }) => names.length > 0)
  .sort((a, b) => (a.file < b.file ? -1 : 1))
for (const { file, names } of called) console.log(`${file.padEnd(42)} ${names.join(' ')}`)
console.log(`${called.length} files`)
