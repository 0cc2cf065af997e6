// Asks: what does the guard cost: one pass compared with one of the embedder over the same number of tokens, a whole exchange, memory, and
// the start of a process?

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Monitor } from '../dist/index.js'
import { SegmentClassifier } from '../dist/internals.js'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Guard'
const QUESTION =
  'What does the guard cost: a pass, relative to one of the embedder over as many tokens; an exchange; memory; and a cold start?'

/** The guard without training that the test set-up makes: the cost does not depend on the weights. */
const FOLDER = fileURLToPath(new URL('../build/classifiers/guard', import.meta.url))
/** Tokens of a pass, special tokens included: what the embedder reads at most, and shorter. */
const LENGTHS = [64, 128, 256]
const PRECISIONS = ['bf16', 'int8']
/** Those of whole exchanges. */
const EXCHANGE_PRECISIONS = ['fp32', ...PRECISIONS]
const LIMIT = 1.15
const TEXTS = 32
const CALLS_PER_ROUND = 4
/** Tokens of message and reply of the whole exchange. */
const EXCHANGE = [40, 120]
/** Limits with the guard relative to without: resident memory and the time to the first verdict. */
const MEMORY_LIMIT_MB = 40
const START_LIMIT = 1.3
const CHILD = fileURLToPath(new URL('harness/guard-child.mjs', import.meta.url))
const MB = 1e6
const execute = promisify(execFile)

/** An exchange of `tokens` tokens: a reply of half of them, rules, history and a message for the rest. */
function exchangeOf(embedder, tokens) {
  const content = tokens - 5 // [CLS] and four separators
  const lengths = [0.2, 0.2, 0.1].map((share) => Math.round(content * share))
  lengths.push(content - lengths.reduce((sum, length) => sum + length, 0))
  return { segments: lengths.map((length) => textsOfLength(embedder, length + 2, 1)) }
}

async function measure({ quick, say }) {
  if (!existsSync(FOLDER)) return { tables: [], notes: ['Not measured: the test set-up makes the guard.'], targets: [], measurements: null }
  const measurements = {}
  for (const precision of PRECISIONS) {
    const embedder = await loadGabion({ threads: 1, precision })
    const guard = await SegmentClassifier.load({ folder: FOLDER, precision, threads: 1 })
    measurements[precision] = {}
    for (const tokens of quick ? [64] : LENGTHS) {
      say(`${precision}, ${tokens} tokens`)
      const inputs = textsOfLength(embedder, tokens, TEXTS)
      const exchange = exchangeOf(embedder, tokens)
      const { tokenCounts } = await guard.score([exchange])
      if (tokenCounts[0] !== tokens) throw new Error(`the exchange has ${tokenCounts[0]} tokens, not ${tokens}`)
      const implementations = [
        { name: 'embed', call: (text) => embedder.embed(text) },
        { name: 'guard', call: () => guard.score([exchange]) },
      ]
      const run = (rounds) => interleave({ implementations, inputs, rounds, callsPerRound: CALLS_PER_ROUND })
      await run(quick ? 1 : 5)
      const times = await run(quick ? 2 : Math.ceil(6400 / tokens))
      measurements[precision][tokens] = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
    }
    guard.dispose()
    embedder.dispose()
  }
  const exchanges = {}
  for (const precision of EXCHANGE_PRECISIONS) {
    say(`${precision}, whole exchanges`)
    exchanges[precision] = await measureExchange(precision, quick)
  }
  const processes = await measureProcesses(quick ? 2 : 7, say)
  return {
    tables: [...tablesOf(measurements), exchangeTable(exchanges), processTable(processes)],
    notes: NOTES,
    targets: [...targetsOf(measurements), ...processTargets(processes)],
    measurements: { passes: measurements, exchanges, processes },
  }
}

/** Milliseconds of an exchange through a monitor on one thread, with five rules and one exchange before. */
async function measureExchange(precision, quick) {
  // The bundled embedder has no weights in fp32.
  const embedder = await loadGabion({ threads: 1, precision: precision === 'fp32' ? 'bf16' : precision })
  const monitor = await Monitor.load({ embedder, guard: { threads: 1, precision } })
  const rules = textsOfLength(embedder, 25, 5)
  const [before, ...users] = textsOfLength(embedder, EXCHANGE[0], quick ? 9 : 65)
  const replies = textsOfLength(embedder, EXCHANGE[1], users.length)
  const times = { exchange: [], embed: [] }
  for (const [at, user] of users.entries()) {
    const conversation = monitor.begin(`c${at}`, { rules })
    await conversation.addExchange({ user: before, assistant: before })
    const start = performance.now()
    await conversation.addExchange({ user, assistant: replies[at] })
    const judged = performance.now()
    await embedder.embed(user)
    await embedder.embed(replies[at])
    times.exchange.push((judged - start) * 1000)
    times.embed.push((performance.now() - judged) * 1000)
  }
  monitor.dispose()
  embedder.dispose()
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summarize(values.slice(1))]))
}

/** Start and memory of processes that judge with the guard and without, in turns. */
async function measureProcesses(rounds, say) {
  const found = { always: [], off: [] }
  for (let round = -1; round < rounds; round++) {
    for (const mode of Object.keys(found)) {
      say(`process ${round + 2} of ${rounds + 1}, guard ${mode}`)
      const { stdout } = await execute(process.execPath, ['--expose-gc', CHILD, mode])
      // The first round fills the page cache.
      if (round >= 0) found[mode].push(JSON.parse(stdout))
    }
  }
  const middle = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
  return Object.fromEntries(
    Object.entries(found).map(([mode, all]) => [
      mode,
      { firstMs: middle(all.map((one) => one.firstMs)), rssMb: middle(all.map((one) => one.rss)) / MB },
    ]),
  )
}

function exchangeTable(exchanges) {
  const ms = (microseconds) => (microseconds / 1000).toFixed(2)
  return {
    title: `A whole exchange through a monitor, ${EXCHANGE.join(' + ')} tokens, five rules of 25 tokens, one exchange before: p50 (p90), milliseconds`,
    head: ['precision, one thread', 'guard', 'vectors of both texts alone'],
    rows: Object.entries(exchanges).map(([precision, { exchange, embed }]) => [
      precision,
      `${ms(exchange.p50)} (${ms(exchange.p90)})`,
      `${ms(embed.p50)} (${ms(embed.p90)})`,
    ]),
  }
}

function processTable({ always, off }) {
  return {
    title: 'A process of its own, median: from its start to the first verdict, and resident memory after 31 exchanges',
    head: ['', 'guard', 'erosion detector alone', 'difference'],
    rows: [
      ['first verdict, ms', always.firstMs.toFixed(0), off.firstMs.toFixed(0), `${(always.firstMs / off.firstMs).toFixed(2)} ×`],
      ['resident memory, MB', always.rssMb.toFixed(0), off.rssMb.toFixed(0), `${(always.rssMb - off.rssMb).toFixed(0)} MB`],
    ],
  }
}

function processTargets({ always, off }) {
  const [memory, start] = [always.rssMb - off.rssMb, always.firstMs / off.firstMs]
  return [
    {
      what: 'memory with the guard, beyond that without',
      value: memory,
      limit: MEMORY_LIMIT_MB,
      unit: 'MB',
      met: memory <= MEMORY_LIMIT_MB,
    },
    { what: 'first verdict with the guard, relative to without', value: start, limit: START_LIMIT, unit: '×', met: start <= START_LIMIT },
  ]
}

const NOTES = [
  `An exchange with rules, history, message and reply in one pass, and a text of as many tokens; interleaved in blocks of ${CALLS_PER_ROUND} timed calls after one untimed call. The guard of this table has random weights.`,
  'Whole exchanges and processes have the bundled guard; the exchange includes choosing the rules by vectors.',
]

/** Every measured pair, with its ratio of medians. */
function rowsOf(measurements) {
  return Object.entries(measurements).flatMap(([precision, byTokens]) =>
    Object.entries(byTokens).map(([tokens, { embed, guard }]) => ({ precision, tokens, embed, guard, ratio: guard.p50 / embed.p50 })),
  )
}

function tablesOf(measurements) {
  const ms = (microseconds) => (microseconds / 1000).toFixed(3)
  return [
    {
      title: 'p50, milliseconds per pass',
      head: ['precision, tokens', 'embedder', 'guard', 'ratio'],
      rows: rowsOf(measurements).map(({ precision, tokens, embed, guard, ratio }) => [
        `${precision}, ${tokens}`,
        ms(embed.p50),
        ms(guard.p50),
        ratio.toFixed(2),
      ]),
    },
  ]
}

function targetsOf(measurements) {
  return rowsOf(measurements).map(({ precision, tokens, ratio }) => ({
    what: `guard, ${precision}, ${tokens} tokens, relative to the embedder`,
    value: ratio,
    limit: LIMIT,
    unit: '×',
    met: ratio <= LIMIT,
  }))
}

await runBench(TITLE, QUESTION, measure)
