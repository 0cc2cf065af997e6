// Asks: what part of the machine's peak arithmetic does one text on one thread reach, by number format and length?

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildBenchProgram } from '../scripts/build-native.mjs'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { buildProgram } from './harness/native.mjs'
import { summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Peak'
const QUESTION = "What part of the machine's peak arithmetic does one text on one thread reach, by number format and length?"

const REFERENCE = fileURLToPath(new URL('../build/models/all-MiniLM-L6-v2', import.meta.url))
const LENGTHS = [8, 16, 32, 64, 128, 256]
const CALLS_PER_ROUND = 4
const roundsFor = (tokens, quick) => (quick ? 2 : Math.max(12, Math.ceil(2000 / tokens)))
/** Target for int8's products at 128 tokens. */
const TARGET = { tokens: 128, part: 0.85 }

async function measure({ quick, say }) {
  say('what the machine can do')
  const peaks = await measurePeaks()
  const embedders = { int8: await loadGabion({ threads: 1, precision: 'int8' }), bf16: await loadGabion({ threads: 1, precision: 'bf16' }) }
  if (existsSync(REFERENCE)) embedders.fp32 = await loadGabion({ threads: 1, precision: 'fp32', model: REFERENCE })
  const config = JSON.parse(readFileSync(join(embedders.bf16.info.folder, 'config.json'), 'utf8'))
  say('products by themselves')
  const lengths = quick ? [8, 128] : LENGTHS
  const products = await measureProducts(Object.keys(embedders), lengths)
  const measurements = {}
  for (const tokens of lengths) {
    say(`${tokens} tokens`)
    const inputs = textsOfLength(embedders.bf16, tokens, 32)
    const implementations = Object.entries(embedders).map(([name, embedder]) => ({ name, call: (text) => embedder.embedSync(text) }))
    await interleave({ implementations, inputs, rounds: quick ? 1 : 4, callsPerRound: CALLS_PER_ROUND })
    const times = await interleave({ implementations, inputs, rounds: roundsFor(tokens, quick), callsPerRound: CALLS_PER_ROUND })
    measurements[tokens] = Object.fromEntries(
      [...times].map(([name, values]) => {
        const { p50 } = summarize(values)
        const rate = multiplyAdds(config, tokens) / p50 / 1e3
        // A format without an instruction of its own runs on those of fp32.
        const part = (reached) => reached / (peaks[name] ?? peaks.fp32)
        return [name, { p50, rate, part: part(rate), productPart: part(products[name][tokens]) }]
      }),
    )
  }
  return {
    tables: tablesOf(measurements, peaks),
    notes: notesOf(embedders.bf16.info),
    targets: targetsOf(measurements),
    measurements: { peaks, measurements },
  }
}

async function measurePeaks() {
  return JSON.parse(execFileSync(await buildProgram('machine_peaks'), { encoding: 'utf8' }))
}

/** 10⁹ multiply-adds per second of the linear parts alone, by format and tokens. */
async function measureProducts(formats, lengths) {
  const program = await buildBenchProgram('product_peak')
  return Object.fromEntries(
    formats.map((name) => [name, JSON.parse(execFileSync(program, [name, ...lengths.map(String)], { encoding: 'utf8' }))]),
  )
}

/** Multiply-adds of the linear layers and of attention's two products; the rest is not matrix multiplication. */
function multiplyAdds({ hidden_size: hidden, intermediate_size: intermediate, num_hidden_layers: layers }, tokens) {
  return layers * tokens * (4 * hidden * hidden + 2 * hidden * intermediate + 2 * tokens * hidden)
}

function tablesOf(measurements, peaks) {
  const lengths = Object.keys(measurements)
  const names = Object.keys(measurements[lengths[0]])
  const partsOf = (title, which) => ({
    title,
    head: ['format', 'peak, 10⁹/s', ...lengths],
    rows: names.map((name) => [
      name,
      (peaks[name] ?? peaks.fp32).toFixed(0),
      ...lengths.map((tokens) => `${(100 * measurements[tokens][name][which]).toFixed(0)} %`),
    ]),
  })
  return [
    partsOf(
      "Multiply-adds of a text over its whole p50 (tokenizing, rounding, softmax, the call), as a fraction of the processor's peak",
      'part',
    ),
    partsOf("The products of the linear parts alone, with their sums' scales, as a fraction of the same peak", 'productPart'),
    {
      title: 'Reading, gigabytes per second of one thread, by size of what is read',
      head: ['', ...Object.keys(peaks.gigabytes)],
      rows: [['memory', ...Object.values(peaks.gigabytes).map((rate) => rate.toFixed(0))]],
    },
  ]
}

function notesOf({ model, instructionSet }) {
  return [
    `${model}, one thread, embedSync, cache off, ${instructionSet}. The peak is the best half second of twelve independent sums of the format's own instruction.`,
    "The products alone: matrices of the model's shapes through the kernels, chunk by chunk as in the encoder, less what the same call takes with one panel of columns, which has the rounding of activations and little else.",
  ]
}

function targetsOf(measurements) {
  const value = measurements[TARGET.tokens].int8.productPart
  const what = `int8, ${TARGET.tokens} tokens, products of the linear layers, fraction of the peak`
  return [{ what, value, limit: TARGET.part, unit: '×', met: value >= TARGET.part, atLeast: true }]
}

await runBench(TITLE, QUESTION, measure)
