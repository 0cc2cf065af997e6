// Asks: how long does an exact search through many vectors take, compared with just reading them from memory, and with a loop in JavaScript?

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runBench } from './harness/command.mjs'
import { quantile } from './harness/statistics.mjs'

const TITLE = 'Search'
const QUESTION =
  'How long does semanticSearch take through 100,000 and 1,000,000 vectors, compared with just reading them from memory and with a loop in JavaScript?'

const DIMENSIONS = 384
const LIMIT = 1.3
const CHILD = fileURLToPath(new URL('harness/search-child.mjs', import.meta.url))
const NAMES = { search: 'gabion semanticSearch', pass: 'reading the rows (memchr)', loop: 'a loop in JavaScript' }

/** The first processor that this process may use: `2-5,8` → 2. */
const firstProcessor = () => /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]

/** Times in a process of its own, on one processor or on all; memchr runs on one thread, so it is compared on one processor. */
async function measureIn({ rows, rounds, processors }) {
  const args = [CHILD, String(rows), String(DIMENSIONS), String(rounds)]
  const command =
    processors === 'one' ? ['taskset', '--cpu-list', firstProcessor(), process.execPath, ...args] : [process.execPath, ...args]
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const parts = []
  child.stdout.on('data', (part) => parts.push(part))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`)
  return JSON.parse(Buffer.concat(parts).toString())
}

async function measure({ quick, say }) {
  const measurements = []
  for (const rows of quick ? [20_000] : [100_000, 1_000_000]) {
    for (const processors of ['one', 'all']) {
      say(`${rows.toLocaleString('en')} rows, ${processors} processor${processors === 'all' ? 's' : ''}`)
      measurements.push({ rows, processors, times: await measureIn({ rows, rounds: quick ? 5 : 31, processors }) })
    }
  }
  const ratios = measurements
    .filter(({ processors }) => processors === 'one')
    .map(({ rows, times }) => ({ rows, ratio: quantile(times.search, 0.5) / quantile(times.pass, 0.5) }))
  return {
    tables: measurements.map(({ rows, processors, times }) => ({
      title: `${rows.toLocaleString('en')} × ${DIMENSIONS}, ${processors === 'one' ? 'one processor' : 'all processors'}, milliseconds`,
      head: ['', 'fastest', 'median', 'p90', 'GB/s, median'],
      rows: Object.entries(times).map(([name, values]) => [
        NAMES[name],
        ...[0, 0.5, 0.9].map((q) => quantile(values, q).toFixed(2)),
        ((rows * DIMENSIONS * 4) / quantile(values, 0.5) / 1e6).toFixed(1),
      ]),
    })),
    notes: [
      'All three go through the same 32-bit floats, interleaved. The rows hold no byte 255, which memchr looks for: it reads every byte and does nothing else. It is one thread, as the loop is; the search is one thread on one processor.',
      'The search gives the ten best rows by their cosines, in double precision, and reads the lengths of the rows in the same pass. The loop computes dot products and keeps the best alone.',
    ],
    targets: ratios.map(({ rows, ratio }) => ({
      what: `search of ${rows.toLocaleString('en')} rows compared with reading them, one processor`,
      value: ratio,
      limit: LIMIT,
      unit: '×',
      met: ratio <= LIMIT,
    })),
    measurements,
  }
}

await runBench(TITLE, QUESTION, measure)
