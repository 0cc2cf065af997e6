// Asks: what does one pass of the guard cost on one thread, compared with one of the embedder over the same number of tokens?

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SegmentClassifier } from '../dist/internals.js'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Guard'
const QUESTION = 'What does one pass of the guard cost on one thread, compared with one of the embedder over the same number of tokens?'

/** The guard without training that the test set-up makes: the cost does not depend on the weights. */
const FOLDER = fileURLToPath(new URL('../build/classifiers/guard', import.meta.url))
/** Tokens of a pass, special tokens included: what the embedder reads at most, and shorter. */
const LENGTHS = [64, 128, 256]
const PRECISIONS = ['bf16', 'int8']
const LIMIT = 1.15
const TEXTS = 32
const CALLS_PER_ROUND = 4

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
  return { tables: tablesOf(measurements), notes: NOTES, targets: targetsOf(measurements), measurements }
}

const NOTES = [
  `An exchange with rules, history, message and reply in one pass, and a text of as many tokens; interleaved in blocks of ${CALLS_PER_ROUND} timed calls after one untimed call. The guard has random weights.`,
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
